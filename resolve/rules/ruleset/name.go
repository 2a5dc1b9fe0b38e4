package ruleset

import (
	"strconv"
)

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

// ChainWords are how people are told of a chain: the program that shows it, with
// nft's family; its table; its name. They are in the order of a place's words, from
// the outside in: "nft ip", "raw", "pre".
func ChainWords(engine Engine, family, table, chain string) [3]string {
	program := string(engine) + " " + family
	switch engine {
	case NFTables:
		program = "nft " + family
	case IPTablesNFT, IPTablesLegacy:
		program = Program(engine, family)
	}
	return [3]string{program, table, chain}
}

// PlaceName is a rule's place in its chain: "rule 7 (handle 12)". A number or handle of
// 0 is not known. glue is what stands between a word and its number: a space, or what
// keeps a line from being broken there.
func PlaceName(number int, handle uint64, glue string) string {
	name := ""
	switch {
	case number != 0:
		name = "rule" + glue + strconv.Itoa(number)
	case handle != 0:
		return "handle" + glue + strconv.FormatUint(handle, 10)
	default:
		return "rule" + glue + "unknown"
	}
	if handle != 0 {
		name += " (handle" + glue + strconv.FormatUint(handle, 10) + ")"
	}
	return name
}

// FullName names the table with all that is needed to find it: "iptables-nft filter".
func (t *Table) FullName() string {
	w := ChainWords(t.Engine, t.Family, t.Name, "")
	return w[0] + " " + w[1]
}

// FullName names the chain with all that is needed to find it, as the record of a drop
// does: "iptables-nft filter INPUT".
func (c *Chain) FullName() string {
	return c.Table.FullName() + " " + c.Name
}

// Place is the rule's place in its chain: "rule 7 (handle 12)".
func (r *Rule) Place() string { return PlaceName(r.Number, r.Handle, " ") }

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
