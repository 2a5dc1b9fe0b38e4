package iptables

// matchSpec is the spec of a match, nil for one that is not known.
func matchSpec(family, name string) *spec {
	for _, find := range []func(family, name string) *spec{
		transportSpec, headerSpec, conntrackSpec, packetSpec, setSpec, unknowableSpec,
	} {
		if s := find(family, name); s != nil {
			return s
		}
	}
	return nil
}

// MatchPasses reports whether an x_tables match only ever matches or does not:
// its source mentions no hotdrop. The list was made from Debian's 6.1.192 and
// 6.12 sources. u32 is not on it: it learned to hotdrop between the two.
func MatchPasses(name string) bool {
	switch name {
	case "addrtype", "bpf", "cgroup", "cluster", "comment", "connbytes",
		"connlabel", "connmark", "conntrack", "cpu", "devgroup", "dscp", "ecn",
		"helper", "hl", "iprange", "ipvs", "l2tp", "length", "limit", "mac",
		"mark", "nfacct", "osf", "owner", "physdev", "pkttype", "policy",
		"quota", "rateest", "realm", "rpfilter", "set", "socket", "srh",
		"state", "statistic", "string", "time", "tos", "ttl":
		return true
	}
	return false
}

// TargetPasses reports whether an x_tables target always lets the packet go on;
// made as MatchPasses was, of sources that mention no NF_DROP. DSCP, TOS, TTL, HL
// and ECN are not on the list: they drop where a header cannot be made writable.
func TargetPasses(name string) bool {
	switch name {
	case "AUDIT", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "HMARK",
		"IDLETIMER", "LED", "LOG", "MARK", "NFLOG", "NOTRACK", "RATEEST",
		"SECMARK", "SET", "TEE", "TRACE":
		return true
	}
	return false
}
