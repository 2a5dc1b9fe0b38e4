package integration

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

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
	nstest.NotInGuests(t, "kernel-independent")
	only := os.Getenv("CASES") // of which a part is wanted: words of their names
	var all []aCase
	for _, list := range [][]aCase{trackingCases(), linkCases(), socketCases(), connectionCases(), staleCases(), helperCases(), markCases(), invalidCases(), policyCases(), dockerCases()} {
		for _, c := range list {
			if only == "" || slices.ContainsFunc(strings.Split(only, ","), func(word string) bool { return strings.Contains(c.name, word) }) {
				all = append(all, c)
			}
		}
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
			code: "untracked", says: []string{"nft ip raw pre rule 1 (handle 2)", "notrack", "in rule 1"},
		},
		{
			// conntrack tracks no MLD, and a first packet never is established.
			name: "MLD query with a hop-by-hop header",
			host: `nft add table ip6 f
				nft 'add chain ip6 f in { type filter hook input priority 0; policy drop; }'
				nft add rule ip6 f in ct state established,related accept
				nft add rule ip6 f in ip6 nexthdr icmpv6 icmpv6 type mld-listener-query accept
				nft add rule ip6 f in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`,
			by: sendMLDQuery, icmp: 130,
			code: "extension-header", says: []string{"in rule 2", "ip6 nexthdr", "hop-by-hop", "meta l4proto"},
			never: []string{"notrack"}, fix: "replace rule ip6 f in handle 3 meta l4proto icmpv6 icmpv6 type mld-listener-query accept",
		},
		{
			name: "neighbour discovery beside an established rule",
			host: `nft add table ip6 f
				nft 'add chain ip6 f in { type filter hook input priority 0; policy drop; }'
				nft add rule ip6 f in ct state established,related accept`,
			send: "client udp 2001:db8::1 7002", icmp: 135,
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
		{
			name: "bridge without ports",
			host: "ip link add br0 type bridge && ip addr add 203.0.113.1/24 dev br0 && ip link set br0 up",
			send: "host udp 203.0.113.2 7103",
			code: "link-down", says: []string{"the bridge br0 has no ports"}, never: []string{"cable"},
		},
		{
			name: "bridge whose port is down",
			host: "ip link add br0 type bridge && ip link add p0 type veth peer name p1 && ip link set p0 master br0 && ip addr add 203.0.113.1/24 dev br0 && ip link set br0 up",
			send: "host udp 203.0.113.2 7104",
			code: "link-down", says: []string{"no port of the bridge br0 can send (p0 down)"}, never: []string{"cable"}, fix: "ip link set p0 up",
		},
		{
			name: "veth whose other end is down", server: "ip link set eth0 down",
			send: "client udp 198.51.100.2 7105",
			code: "link-down", says: []string{"eth1 (veth) has no carrier", "its other end"}, never: []string{"cable"},
		},
		{
			name: "bridge filter for broadcasts only",
			host: `nft add table bridge b
				nft 'add chain bridge b in { type filter hook input priority 0; }'
				nft add rule bridge b in meta pkttype broadcast ip protocol icmp drop
				ip link add br0 type bridge && ip addr flush dev eth0 && ip link set eth0 master br0 && ip addr add 192.0.2.1/24 dev br0 && ip link set br0 up`,
			send: "client ping 192.0.2.255", code: "meant-drop", says: []string{"drops what matches meta pkttype broadcast ip protocol icmp"},
			never: []string{"everything else", "the rest"},
		},
		{
			name: "echo request to a broadcast address", send: "client ping 192.0.2.255",
			code: "echo-to-broadcast", says: []string{"192.0.2.255", "net.ipv4.icmp_echo_ignore_broadcasts is 1"},
		},
		{
			name: "VXLAN interface without a remote",
			host: `ip link add vx0 type vxlan id 7 dstport 4790 dev eth1
				ip addr add 203.0.113.1/24 dev vx0 && ip link set vx0 up
				ip neigh replace 203.0.113.2 lladdr 02:00:00:00:00:09 dev vx0 nud permanent`,
			send: "host udp 203.0.113.2 7108", code: "no-tunnel-target", says: []string{"vx0 (VNI 7)", "knows no host to send it to"},
		},
		{
			name: "full send queue", host: "tc qdisc add dev eth0 root handle 8001: tbf rate 8kbit burst 1600 limit 1700",
			by: sendMany("192.0.2.2", 7109, 6), port: 7109,
			code: "queue-dropped", says: []string{"eth0", "tbf 8001:0, limit 1700 bytes"},
		},
		{
			name: "own source, and no forwarding", host: "sysctl -qw net.ipv4.ip_forward=0",
			by: sendFrom("198.51.100.1", packet{to: "203.0.113.9", port: 7106}), port: 7106,
			code: "not-local", says: []string{"198.51.100.1", "this host's own", "does not forward"},
		},
	}
}

// socketCases: who would have taken the packet, and why it did not.
func socketCases() []aCase {
	return []aCase{
		{
			name: "connected UDP socket", ready: socket("udp", "0.0.0.0:7201", "192.0.2.9:53", ""),
			send: "client udp 192.0.2.1 7201", code: "no-listener",
			says: []string{"is connected to 192.0.2.9:53 and takes only what comes from there"}, never: []string{"no program"},
		},
		{
			name: "bound to another interface", ready: socket("udp", "0.0.0.0:7202", "", "eth1"),
			send: "client udp 192.0.2.1 7202", code: "no-listener", says: []string{"is bound to eth1, and it came in by eth0"},
		},
		{
			name: "TCP bound to another interface", ready: socket("tcp", "0.0.0.0:7203", "", "eth1"),
			send: "client tcp 192.0.2.1 7203", code: "no-listener", says: []string{"is bound to eth1, and it came in by eth0"},
		},
		{
			name: "IPv6 only", ready: socket("tcp6", "[::]:7204", "", ""),
			send: "client tcp 192.0.2.1 7204", code: "no-listener", says: []string{"takes IPv6 only (IPV6_V6ONLY)"},
		},
		{
			name: "IPv4 only", ready: socket("tcp", "0.0.0.0:7205", "", ""),
			send: "client tcp 2001:db8::1 7205", code: "no-listener", says: []string{"takes IPv4 only"},
		},
		{
			name: "another address", ready: socket("tcp", "127.0.0.1:7206", "", ""),
			send: "client tcp 192.0.2.1 7206", code: "no-listener", says: []string{"listens only at 127.0.0.1, not at 192.0.2.1"},
		},
		{
			name: "nobody", send: "client tcp 192.0.2.1 7207", code: "no-listener", says: []string{"no program takes tcp 7207 on 192.0.2.1"},
		},
		{
			name: "VXLAN without an interface", send: "client udp 192.0.2.1 4789", code: "no-listener",
			says: []string{"no program and no VXLAN interface takes udp 4789"},
		},
		{
			name: "policy, and a socket for IPv6 only", ready: socket("udp6", "[::]:7208", "", ""),
			host: "iptables-nft -P INPUT DROP", send: "client udp 192.0.2.1 7208", code: "policy-drop-no-accept",
			says: []string{"takes IPv6 only"}, never: []string{"nothing listens"},
		},
		{
			name: "policy, and TPROXY to another port",
			host: `iptables-nft -t mangle -A PREROUTING -p tcp --dport 7209 -j TPROXY --on-port 3128 --tproxy-mark 1
				iptables-nft -P INPUT DROP
				ip rule add fwmark 1 lookup 100
				ip route add local default dev lo table 100`,
			ready: transparent(3128),
			send:  "client tcp 198.51.100.2 7209", code: "policy-drop-no-accept", never: []string{"nothing listens"},
		},
		{
			// The client's own SYN comes back to it.
			name:  "DNAT without masquerading (hairpin)",
			host:  "iptables-nft -t nat -A PREROUTING -p tcp --dport 7210 -j DNAT --to-destination 192.0.2.2:7211; sysctl -qw net.ipv4.conf.all.send_redirects=0",
			drops: "client", by: connectAndWait("192.0.2.1:7210"), port: 7211,
			code: "hairpin", says: []string{"sent from here to 192.0.2.1:7210", "made that 192.0.2.2:7211", "masquerade"}, never: []string{"forged"},
		},
	}
}

// connectionCases: a fix lets the connection through, not only its first packet.
func connectionCases() []aCase {
	const filter = `nft add table inet f
		nft 'add chain inet f fw { type filter hook forward priority 0; policy drop; }'
		nft 'add chain inet f in { type filter hook input priority 0; policy drop; }'
		nft 'add chain inet f out { type filter hook output priority 0; policy drop; }'
		nft add rule inet f in meta l4proto ipv6-icmp accept
		nft add rule inet f out meta l4proto ipv6-icmp accept`
	const answers = "what follows in its connection needs a rule, too"
	return []aCase{
		{
			name: "forward policy", host: "iptables-nft -P FORWARD DROP",
			send: "client tcp 198.51.100.2 7301", code: "forward-dropped", says: []string{answers}, works: true,
		},
		{
			name: "forward policy, legacy, with rules before", host: `iptables-legacy -P FORWARD DROP
				iptables-legacy -A FORWARD -p tcp --dport 22 -j ACCEPT
				iptables-legacy -A FORWARD -p tcp -j REJECT`,
			send: "client tcp 198.51.100.2 7302", code: "forward-dropped", says: []string{answers}, works: true,
		},
		{
			name: "forward policy, nft, IPv6", host: filter,
			send: "client udp 2001:db8:1::2 7303", code: "forward-dropped", says: []string{answers}, works: true,
		},
		{
			name: "input, and output drops as well", host: filter,
			send: "client tcp 192.0.2.1 7304", listens: true, code: "listening-not-allowed", says: []string{answers}, works: true,
		},
		{
			name: "output, and input drops as well", host: filter,
			send: "host tcp 192.0.2.2 7305", code: "policy-drop-no-accept", says: []string{answers}, works: true,
		},
		{
			name: "ping through", host: filter,
			send: "client ping 198.51.100.2", code: "forward-dropped", works: true,
		},
		{
			name: "a SYN alone would be let through",
			host: `iptables-nft -P INPUT DROP
				iptables-nft -A INPUT -p tcp --dport 7306 -j DROP
				iptables-nft -A INPUT -p tcp --dport 7306 --syn -j ACCEPT`,
			send: "client tcp 192.0.2.1 7306", code: "accept-below-drop", says: []string{answers}, works: true,
		},
		{
			name: "DHCP through ufw, whose chain returns by the kind of address",
			host: `iptables-nft -P INPUT DROP
				for c in ufw-before-input ufw-not-local ufw-user-input ufw-skip-to-policy-input; do iptables-nft -N $c; done
				iptables-nft -A INPUT -j ufw-before-input
				iptables-nft -A ufw-before-input -j ufw-not-local
				iptables-nft -A ufw-before-input -j ufw-user-input
				iptables-nft -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
				iptables-nft -A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
				iptables-nft -A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
				iptables-nft -A ufw-not-local -j DROP`,
			by: sendDiscover, port: 67, code: "policy-drop-no-accept", says: []string{"udp 67"},
			fix: "ufw allow in on eth0 to any port 67 proto udp",
		},
		{
			name: "an established rule is there", host: `iptables-nft -P FORWARD DROP
				iptables-nft -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT`,
			send: "client tcp 198.51.100.2 7307", code: "forward-dropped", never: []string{answers}, works: true,
		},
		{
			name: "owner match",
			host: `iptables-nft -A OUTPUT -p tcp --dport 7308 -m owner --uid-owner 0 -j ACCEPT
				iptables-nft -A OUTPUT -p tcp --dport 7308 -j REJECT`,
			by: connectAs(33, "192.0.2.2:7308"), port: 7308,
			code: "owner-mismatch", says: []string{"OUTPUT rule 1", "--uid-owner 0", "its sender is user 33"},
		},
		{
			name: "owner match, nft",
			host: `nft add table ip o
				nft 'add chain ip o out { type filter hook output priority 0; policy accept; }'
				nft add rule ip o out meta skuid 0 tcp dport 7309 accept
				nft add rule ip o out ip daddr 198.51.100.0/24 accept
				nft add rule ip o out meta l4proto tcp drop`,
			by: connectAs(33, "192.0.2.2:7309"), port: 7309,
			code: "owner-mismatch", says: []string{"out rule 1", "skuid", "its sender is user 33"},
		},
	}
}
