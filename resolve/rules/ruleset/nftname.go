package ruleset

// PlainName reports whether nft takes the name of a table, chain or set for one
// string and nothing else, wherever such a name may stand in a command. Names come
// from whoever may write the ruleset, nft joins its arguments to one command and
// has no quoting for names, and "x; flush ruleset" is a name the kernel takes.
func PlainName(name string) bool {
	for i := range len(name) {
		switch b := name[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', b == '_':
		case i > 0 && ('0' <= b && b <= '9' || b == '-' || b == '.' || b == '/'):
		default:
			return false
		}
	}
	return name != "" && !nftReserves(name)
}

// NFTWords are the words of an nft command up to the name of what it is about:
// nft insert rule inet fw in. kind is rule or element, object a chain or a set of
// the table. ok is false where nft would not read a name as one.
func NFTWords(verb, kind string, t *Table, object string) (words []string, ok bool) {
	if !PlainName(t.Name) || !PlainName(object) {
		return nil, false
	}
	return []string{"nft", verb, kind, t.Family, t.Name, object}, true
}

// IPTablesWords are the words of a command of the iptables family up to its chain:
// iptables-nft -t nat -I POSTROUTING. ok is false for a chain that iptables takes
// for an option or a negation (assert_valid_chain_name in xshared.c).
func IPTablesWords(program string, t *Table, verb, chain string) (words []string, ok bool) {
	if chain == "" || chain[0] == '-' || chain[0] == '!' {
		return nil, false
	}
	words = []string{program}
	if t.Name != "filter" {
		words = append(words, "-t", t.Name)
	}
	return append(words, verb, chain), true
}

// nftReserves reports whether nft's scanner has the word for itself in every state
// (scanner.l of nftables 1.0 and 1.1). Words that it has in some states only are
// names wherever a name is expected.
func nftReserves(name string) bool {
	switch name {
	case "accept", "add", "ah", "all", "and", "arp", "auto-merge", "bridge", "cgroup", "chain", "comment", "comp",
		"constant", "continue", "counter", "cpu", "create", "ct", "day", "dccp", "define", "delete", "describe",
		"destroy", "device", "devices", "dnat", "drop", "dst", "dup", "dynamic", "ecn", "element", "elements", "eq",
		"esp", "ether", "exists", "expires", "export", "exthdr", "fib", "flags", "flow", "flowtable", "flush", "frag",
		"fwd", "gc-interval", "ge", "geneve", "get", "goto", "gre", "gretap", "gt", "handle", "hbh", "hook", "hour",
		"ibriport", "ibrname", "icmp", "icmpv6", "igmp", "iif", "iifgroup", "iifname", "iiftype", "import", "include",
		"index", "inet", "insert", "interval", "ip", "ip6", "ipsec", "jhash", "jump", "last", "le", "limit", "list",
		"log", "lshift", "lt", "map", "mark", "masquerade", "meta", "meter", "mh", "missing", "monitor", "ne",
		"netdev", "nftrace", "not", "notrack", "numgen", "obriport", "obrname", "offload", "oif", "oifgroup",
		"oifname", "oiftype", "or", "osf", "pkttype", "policy", "position", "priority", "queue", "quota", "random",
		"redefine", "redirect", "reject", "rename", "replace", "reset", "return", "rshift", "rt", "rt0", "rt2",
		"rtclassid", "rule", "ruleset", "sctp", "secmark", "set", "size", "skgid", "skuid", "snat", "socket", "srh",
		"symhash", "synproxy", "table", "tcp", "th", "time", "timeout", "tproxy", "tunnel", "type", "typeof", "udp",
		"udplite", "undefine", "update", "vlan", "vmap", "vni", "vxlan", "xor", "xt":
		return true
	}
	return false
}
