package integration

// policyCases: routes by rules of `ip rule`, as the kernel asked for them.
func policyCases() []aCase {
	// rp_filter refuses ARP's questions as well.
	const known = `ip neigh replace 192.0.2.1 dev eth0 lladdr $(ip -n $HOST -o link show eth0 | sed 's/.*link.ether \([^ ]*\).*/\1/')`
	return []aCase{
		{
			name: "policy routing: a mark leads to a table that refuses",
			host: `iptables-nft -t mangle -A PREROUTING -p udp --dport 7601 -j MARK --set-mark 1
				ip rule add fwmark 1 lookup 100 priority 100
				ip route add unreachable default table 100
				ip route add default via 198.51.100.2`,
			send: "client udp 203.0.113.9 7601", code: "route-refuses",
			says: []string{"of the type unreachable, in table 100", "ip rule 100: from all fwmark 0x1 lookup 100"},
		},
		{
			name: "policy routing: no table has a route",
			host: "ip rule add from 192.0.2.0/24 lookup 101 priority 101; ip route add 10.0.0.0/8 via 198.51.100.2 table 101",
			send: "client udp 203.0.113.9 7602", code: "no-route",
			says: []string{"ip rule 101: from 192.0.2.0/24 lookup 101; ip rule 32766: from all lookup main"}, fix: "via GATEWAY table 101",
		},
		{
			name: "policy routing: a rule that refuses, IPv6",
			host: "ip -6 rule add to 2001:db8:9::/48 iif eth0 unreachable priority 102",
			send: "client udp 2001:db8:9::1 7603", code: "route-refuses", says: []string{"ip rule 102: from all to 2001:db8:9::/48 iif eth0"},
		},
		{
			name: "policy routing: another table leads back",
			host: `ip rule add to 192.0.2.0/24 lookup 103 priority 103
				ip route add default dev eth1 table 103
				sysctl -qw net.ipv4.conf.eth0.rp_filter=1`,
			client: known,
			send:   "client udp 192.0.2.1 7604", code: "rp-filter",
			says: []string{"leave by eth1 (ip rule 103: from all to 192.0.2.0/24 lookup 103)"}, fix: "rp_filter=2",
		},
		{
			name: "policy routing: rp_filter does not look at the mark",
			host: `ip route add 192.0.2.2/32 dev eth1
				ip rule add fwmark 1 lookup 104 priority 104
				ip route add 192.0.2.0/24 dev eth0 table 104
				ip route add 198.51.100.0/24 dev eth1 table 104
				iptables-nft -t mangle -A PREROUTING -j MARK --set-mark 1
				sysctl -qw net.ipv4.conf.eth0.rp_filter=1`,
			client: known,
			send:   "client udp 198.51.100.2 7605", code: "rp-filter",
			says: []string{"leave by eth1", "with its mark 0x1 they would leave by eth0 (ip rule 104", "src_valid_mark is 0"},
			fix:  "net.ipv4.conf.eth0.src_valid_mark=1", works: true,
		},
		{
			name: "policy routing that has no say", host: "ip rule add fwmark 7 lookup 105 priority 105",
			send: "client udp 198.51.100.77 7606", code: "neighbour-silent", never: []string{"ip rule"},
		},
	}
}
