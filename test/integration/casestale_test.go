package integration

import (
	"strconv"
	"strings"
	"testing"
)

// staleCases: a connection's entry keeps the translation that its first packet got,
// whatever the rules say since.
func staleCases() []aCase {
	const nat = `nft add table ip n
		nft 'add chain ip n pre { type nat hook prerouting priority -100; }'
		nft add rule ip n pre iifname eth0 udp dport `
	const nat6 = `nft add table ip6 n
		nft 'add chain ip6 n pre { type nat hook prerouting priority -100; }'
		nft add rule ip6 n pre iifname eth0 udp dport `
	return []aCase{
		{
			// As where a container that publishes the port starts after its client.
			name: "UDP flow that is older than the DNAT rule", sport: 40401,
			ready: begin("iptables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP",
				packet{port: 7401, from: 40401}, "iptables-nft -t nat -A PREROUTING -i eth0 -p udp --dport 7401 -j DNAT --to-destination 198.51.100.2:7402"),
			send: "client udp 192.0.2.1 7401", answers: "server 7402",
			code: "conntrack-stale", says: []string{"has no DNAT", "iptables-nft nat PREROUTING", "would now send it to 198.51.100.2:7402"},
			never: []string{"nothing listens"}, fix: "conntrack -D", works: true,
		},
		{
			name: "the same in IPv6, nft", sport: 40402,
			ready: begin("ip6tables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP",
				packet{to: hostIP6, port: 7403, from: 40402}, nat6+"7403 dnat to [2001:db8:1::2]:7404"),
			send: "client udp 2001:db8::1 7403", answers: "server 7404",
			code: "conntrack-stale", says: []string{"has no DNAT", "would now send it to [2001:db8:1::2]:7404"}, fix: "conntrack -D -f ipv6", works: true,
		},
		{
			name: "entry that points at a server that is gone, dropped on its way", sport: 40403,
			ready: begin("iptables-legacy -t nat -A PREROUTING -p udp --dport 7405 -j DNAT --to-destination 198.51.100.77:7406",
				packet{port: 7405, from: 40403}, `iptables-legacy -t nat -F
				iptables-legacy -t nat -A PREROUTING -p udp --dport 7405 -j DNAT --to-destination 198.51.100.2:7406
				iptables-legacy -A FORWARD -d 198.51.100.2 -j ACCEPT
				iptables-legacy -A FORWARD -s 198.51.100.2 -j ACCEPT
				iptables-legacy -P FORWARD DROP`),
			send: "client udp 192.0.2.1 7405", port: 7406, answers: "server 7406",
			code: "conntrack-stale", says: []string{"its conntrack entry sends it to 198.51.100.77:7406", "would now send it to 198.51.100.2:7406"},
			fix: "conntrack -D", works: true,
		},
		{
			name: "entry that points at a server that is gone, which answers no ARP", sport: 40404,
			ready: begin(nat+"7407 dnat to 198.51.100.78:7408",
				packet{port: 7407, from: 40404}, "nft flush chain ip n pre; nft add rule ip n pre iifname eth0 udp dport 7407 dnat to 198.51.100.2:7408"),
			send: "client udp 192.0.2.1 7407", port: 7408, answers: "server 7408",
			code: "conntrack-stale", says: []string{"its conntrack entry sends it to 198.51.100.78:7408", "no rule does so now"}, fix: "conntrack -D", works: true,
		},
		{
			// kube-proxy's rules: one of two at random.
			name: "two servers to choose from, and an entry for neither", sport: 40405,
			ready: begin("iptables-nft -t nat -A PREROUTING -p udp --dport 7409 -j DNAT --to-destination 198.51.100.79:7410",
				packet{port: 7409, from: 40405}, `iptables-nft -t nat -F
				iptables-nft -t nat -N SVC
				iptables-nft -t nat -A PREROUTING -p udp --dport 7409 -j SVC
				iptables-nft -t nat -A SVC -p udp -m statistic --mode random --probability 0.5 -j DNAT --to-destination 198.51.100.2:7410
				iptables-nft -t nat -A SVC -p udp -j DNAT --to-destination 198.51.100.2:7410`),
			send: "client udp 192.0.2.1 7409", port: 7410, answers: "server 7410",
			code: "conntrack-stale", says: []string{"198.51.100.79:7410", "198.51.100.2:7410"}, fix: "conntrack -D", works: true,
		},
		{
			// Only the first packet need have had the length.
			name: "entry by a rule that asks for a length", sport: 40408,
			ready: begin(nat+"7417 dnat to 198.51.100.77:7418", packet{port: 7417, from: 40408},
				"nft flush chain ip n pre; nft add rule ip n pre meta length 1000-1400 udp dport 7417 dnat to 198.51.100.77:7418"),
			send: "client udp 192.0.2.1 7417", port: 7418, code: "neighbour-silent", never: []string{"conntrack entry"},
		},
		{
			// The neighbour: the entry is as the rules would make it.
			name: "entry as the rules have it", sport: 40406,
			ready: begin(nat+"7411 dnat to 198.51.100.77:7412", packet{port: 7411, from: 40406}, ""),
			send:  "client udp 192.0.2.1 7411", port: 7412, code: "neighbour-silent", never: []string{"conntrack entry"},
		},
		{
			name: "port that no rule translates", sport: 40407,
			ready: begin(nat+"7413 dnat to 198.51.100.2:7414", packet{port: 7415, from: 40407}, ""),
			send:  "client udp 192.0.2.1 7415", code: "no-listener", never: []string{"conntrack entry"},
		},
	}
}

// begin has a connection begin between two states of the host's rules.
func begin(before string, p packet, after string) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		l.shell(t, l.host, before)
		within(t, l.client, p.transmit)
		eventually(t, "the connection has an entry", func() bool {
			list := command(t, "", "ip", "netns", "exec", l.host, "sh", "-c", "cat /proc/net/nf_conntrack")
			return containsPort(list, p.port)
		})
		if after != "" {
			l.shell(t, l.host, after)
		}
	}
}

// containsPort reports whether an entry of /proc/net/nf_conntrack is to the port.
func containsPort(list string, port uint16) bool {
	return strings.Contains(list, "dport="+strconv.Itoa(int(port))+" ")
}
