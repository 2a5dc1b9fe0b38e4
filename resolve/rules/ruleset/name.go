package ruleset

// Program is the command that shows and changes an engine's rules of a family:
// ip6tables-legacy, nft.
func Program(engine Engine, family string) string {
	suffix := ""
	switch engine {
	case IPTablesNFT:
		suffix = "-nft"
	case IPTablesLegacy:
		suffix = "-legacy"
	default:
		return "nft"
	}
	switch family {
	case "ip6":
		return "ip6tables" + suffix
	case "arp":
		return "arptables" + suffix
	case "bridge":
		return "ebtables" + suffix
	}
	return "iptables" + suffix
}

// StateBit is the bit of [CTState] for a state as nft and conntrack spell it, 0 for
// no such name.
func StateBit(name string) uint32 {
	switch name {
	case "invalid":
		return CTInvalid
	case "established":
		return CTEstablished
	case "related":
		return CTRelated
	case "new":
		return CTNew
	case "untracked":
		return CTUntracked
	}
	return 0
}

// StateName is the name of one bit, "" for none or several.
func StateName(bit uint32) string {
	for _, name := range []string{"invalid", "established", "related", "new", "untracked"} {
		if StateBit(name) == bit {
			return name
		}
	}
	return ""
}
