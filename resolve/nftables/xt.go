package nftables

// iptables-nft runs what nf_tables has no expression for through nft_compat,
// which turns a match's hotdrop and a target's NF_DROP into a drop.
//
// Both lists were made from Debian's 6.1.192 and 6.12 sources: a file that
// mentions neither hotdrop nor NF_DROP, in both. Not on a list means "can
// drop"; u32 stands nowhere because it learned to hotdrop between the two.

// xtMatchPasses reports whether a match only ever matches or does not.
func xtMatchPasses(name []byte) bool {
	switch string(name) {
	case "addrtype", "bpf", "cgroup", "cluster", "comment", "connbytes",
		"connlabel", "connmark", "conntrack", "cpu", "devgroup", "dscp", "ecn",
		"helper", "hl", "iprange", "ipvs", "l2tp", "length", "limit", "mac",
		"mark", "nfacct", "osf", "owner", "physdev", "pkttype", "policy",
		"quota", "rateest", "realm", "rpfilter", "set", "socket", "srh",
		"state", "statistic", "string", "time", "tos", "ttl":
		return true
	case "802_3", "among", "arp", "ip", "ip6", "mark_m", "stp", "vlan":
		// ebtables' own: only ebtables.c itself knows of hotdrop.
		return true
	}
	return false
}

// xtTargetPasses reports whether a target always lets the packet go on.
func xtTargetPasses(name []byte) bool {
	switch string(name) {
	case "AUDIT", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "HMARK",
		"IDLETIMER", "LED", "LOG", "MARK", "NFLOG", "NOTRACK", "RATEEST",
		"SECMARK", "SET", "TEE", "TRACE":
		return true
	case "log", "nflog":
		// ebtables' watchers. Its mark is not here: it carries a verdict.
		return true
	}
	return false
}
