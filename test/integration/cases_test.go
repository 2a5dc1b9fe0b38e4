package integration

import "testing"

// The cases of TestCases: a firewall or a fault, one packet, and what droptrace has
// to say of its drop. The kernel drops the packet, and where a fix is printed it is
// typed as printed and a connection is made through it.
//
// To add a case, append to one of the lists:
//
//	{
//		name:  "the mistake in a few words",
//		host:  "iptables-nft -A INPUT -p tcp --dport 81 -j DROP", // shell lines, run in the host's namespace
//		send:  "client tcp 192.0.2.1 7001",                      // who sends what, whereto; a port of its own
//		code:  "policy-drop-no-accept",                          // of the first cause; "" for none
//		says:  []string{"tcp 7001"},                             // facts in the message
//		never: []string{"promiscuous"},                          // in no message
//		works: true,                                             // the fix lets a connection through
//	},
//
// The client is 192.0.2.2, the host 192.0.2.1 (eth0) and 198.51.100.1 (eth1), the
// server 198.51.100.2; in IPv6 2001:db8::2, 2001:db8::1 and 2001:db8:1::1,
// 2001:db8:1::2. See aCase for the other fields.
func TestCases(t *testing.T) {
	var all []aCase
	for _, list := range [][]aCase{trackingCases(), linkCases()} {
		all = append(all, list...)
	}
	runCases(t, all)
}

// trackingCases: what conntrack has to do with it, and what it has not.
func trackingCases() []aCase {
	return []aCase{
		{
			name: "untracked by a rule",
			host: `nft add table ip raw
				nft 'add chain ip raw pre { type filter hook prerouting priority -300; }'
				nft add rule ip raw pre udp dport 7001 notrack
				nft add table ip f
				nft 'add chain ip f in { type filter hook input priority 0; policy drop; }'
				nft add rule ip f in ct state new udp dport 7001 accept`,
			send: "client udp 192.0.2.1 7001",
			code: "untracked", says: []string{"rule 1 of nft ip raw pre (handle 2)", "notrack", "rule 1 of in"},
		},
		{
			// conntrack tracks no MLD, and a first packet never is established.
			name: "MLD query with a hop-by-hop header",
			host: `nft add table ip6 f
				nft 'add chain ip6 f in { type filter hook input priority 0; policy drop; }'
				nft add rule ip6 f in ct state established,related accept
				nft add rule ip6 f in ip6 nexthdr icmpv6 icmpv6 type mld-listener-query accept
				nft add rule ip6 f in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`,
			by:   sendMLDQuery,
			code: "extension-header", says: []string{"rule 2 of in", "ip6 nexthdr", "hop-by-hop", "meta l4proto"},
			never: []string{"notrack"}, fix: "replace rule ip6 f in handle 3 meta l4proto icmpv6 icmpv6 type mld-listener-query accept",
		},
		{
			name: "neighbour discovery beside an established rule",
			host: `nft add table ip6 f
				nft 'add chain ip6 f in { type filter hook input priority 0; policy drop; }'
				nft add rule ip6 f in ct state established,related accept`,
			send: "client udp 2001:db8::1 7002", port: -1,
			code: "policy-drop-no-accept", says: []string{"neighbour solicitation"}, never: []string{"notrack"},
		},
	}
}

// linkCases: frames and interfaces.
func linkCases() []aCase {
	return []aCase{
		{
			name: "tagged for a VLAN that no interface has",
			by:   sendTagged(5, "192.0.2.1", 7101), port: 7101,
			code: "other-host", says: []string{"or with a VLAN tag that no interface takes"}, never: []string{"promiscuous"},
		},
		{
			name:   "another host's hardware address",
			client: "ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:07 dev eth0",
			send:   "client udp 192.0.2.1 7102",
			code:   "other-host", says: []string{"another hardware address than that of eth0"}, never: []string{"promiscuous"},
		},
	}
}
