package xtables

const (
	rejectTarget = "REJECT"
	queueTarget  = "NFQUEUE"
)

// canDrop reports whether evaluating the rule can end in a drop. A jump cannot:
// the stack has room for every chain there is, and chains do not loop.
func canDrop(e *Entry) bool {
	if e.MayHotdrop {
		return true
	}
	if !e.Standard {
		return !targetPasses(e.Target)
	}
	return e.Verdict < 0 && e.Verdict != verdictAccept && e.Verdict != verdictReturn
}

func queues(e *Entry) bool {
	return e.Target == queueTarget || e.Standard && e.Verdict == verdictQueue
}

// Both lists are those of resolve/nftables (xt.go), made from Debian's 6.1.192
// and 6.12 sources: extensions whose file mentions neither hotdrop nor NF_DROP.
// Not on a list means "can drop".

// matchPasses reports whether a match only ever matches or does not.
func matchPasses(name []byte) bool {
	switch string(name) {
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

// targetPasses reports whether a target always lets the packet go on. DSCP, TOS,
// TTL, HL and ECN do not: they drop where the header cannot be made writable.
func targetPasses(name string) bool {
	switch name {
	case "AUDIT", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "HMARK",
		"IDLETIMER", "LED", "LOG", "MARK", "NFLOG", "NOTRACK", "RATEEST",
		"SECMARK", "SET", "TEE", "TRACE":
		return true
	}
	return false
}
