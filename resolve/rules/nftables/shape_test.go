package nftables

import (
	"strings"
	"testing"
)

// What iptables-nft writes of its own must be known as its own, or users would
// be shown nft's text of it.
func TestShapeOfIPTablesRules(t *testing.T) {
	ns := newNamespace(t)
	// ebtables' among is left out: it writes a set, as nft does.
	ns.iptables(t, `set -e
A() { iptables-nft -A INPUT "$@" -j DROP; }
A -p tcp --dport 1:10
A -p tcp ! --dport 1:10
A -p udp --sport 5 --dport 6
A -p tcp --tcp-flags SYN,ACK SYN
A -p tcp ! --syn -m state --state NEW
A -p icmp --icmp-type echo-request
A -p icmp --icmp-type 3/4
A -f
A -s 10.0.0.0/8 -d 192.168.1.0/25 -i eth0
A ! -s 10.0.0.0/9 -i eth+
A -s 10.0.0.5/0.0.0.255
A -m mark --mark 5/0xff
A -m ttl --ttl-lt 5
A -m pkttype --pkt-type broadcast
A -m mac --mac-source 00:11:22:33:44:55
A -p sctp --dport 5
A -p dccp --dport 5
A -p tcp --sport 5 --dport 6 --syn --tcp-option 8
A -p tcp -m multiport --ports 1,2,3:5
A -p esp -m esp --espspi 5
A ! -p tcp
A -m iprange --src-range 1.1.1.1-1.1.1.5
A -m addrtype --dst-type LOCAL
A -m dscp --dscp 5
A -m length --length 5:10
A -m statistic --mode random --probability 0.5
A -m quota --quota 5
A -m connmark --mark 5
A -m hashlimit --hashlimit-above 5/s --hashlimit-name a --hashlimit-mode srcip
A -m recent --name x --set
A -m time --timestart 10:00 --timestop 11:00
A -m comment --comment hello
iptables-nft -A FORWARD -s 10.0.0.0/25 -d 10.0.1.0/28 -i a+ -o b -p tcp --dport 1 --sport 2:3 --syn ! -f -m mark --mark 1/3 -j DROP
iptables-nft -A INPUT
iptables-nft -A INPUT -m limit --limit 5/s --limit-burst 9 -j LOG --log-prefix x
iptables-nft -A INPUT -j NFLOG --nflog-group 5 --nflog-prefix y
iptables-nft -A INPUT -j TRACE
iptables-nft -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
iptables-nft -t nat -A POSTROUTING -o eth0 -s 10.0.0.0/8 ! -d 10.0.0.0/8 -j SNAT --to-source 1.1.1.1
iptables-nft -t nat -A POSTROUTING -j MASQUERADE
iptables-nft -t mangle -A PREROUTING -j MARK --set-mark 5
B() { ip6tables-nft -A INPUT "$@" -j DROP; }
B -s 2001:db8::/32 -d fe80::/10 -i eth0
B -s ::1
B ! -d 2001:db8::/33
B -p icmpv6 --icmpv6-type echo-request
B -p icmpv6 --icmpv6-type 1/4
B -m hl --hl-eq 255
B -p tcp --dport 22 --syn
C() { ebtables-nft -A INPUT "$@" -j DROP; }
C -p IPv4 --ip-src 1.2.3.4 --ip-proto tcp --ip-dport 80
C -s 00:11:22:33:44:55 -d ff:ff:ff:ff:ff:ff -i eth0
C -s 00:11:22:00:00:00/ff:ff:ff:00:00:00
C -p ARP --arp-op Request --arp-ip-src 1.2.3.4
C -p 802_1Q --vlan-id 5
C -p IPv6 --ip6-src ::1
ebtables-nft -A INPUT --limit 5/s --log-prefix x -j CONTINUE
ebtables-nft -t nat -A PREROUTING -j dnat --to-dst 00:11:22:33:44:55
arptables-nft -A INPUT -s 1.2.3.0/24 -d 5.6.7.8 -j DROP
arptables-nft -A INPUT -i eth0 --opcode Request --source-mac 00:11:22:33:44:55 --destination-mac 00:11:22:33:44:00/ff:ff:ff:ff:ff:00 -j DROP
`)
	s := ns.read(t)
	for _, tb := range s.Ruleset().Tables {
		for _, c := range tb.Chains {
			texts, err := s.Texts(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range c.Rules {
				if s.nodes[c].foreign[r] || !strings.HasPrefix(texts[i], "-A ") {
					t.Errorf("%s %s rule %d is taken for foreign: %s", tb.Family, tb.Name, r.Number, texts[i])
				}
			}
		}
	}
}

// What nft added to a table of iptables-nft's, and iptables-nft-save 1.8.9
// shows wrong or not at all, must be shown by nft.
func TestShapeOfForeignRules(t *testing.T) {
	rules := []string{
		"ip saddr { 1.1.1.1, 2.2.2.2 } counter drop",
		"udp length 100 counter drop",
		"ip dscp cs1 counter drop",
		"icmp code port-unreachable counter drop",
		"ip saddr 1.1.1.1-1.1.1.5 counter drop",
		"ip saddr > 1.1.1.1 counter drop",
		"tcp sequence 5 counter drop",
		"tcp dport 1 tcp dport 2 counter drop",
		"ip saddr 1.1.1.1 ip saddr 2.2.2.2 counter drop",
		"meta l4proto { tcp, udp } counter drop",
		"tcp dport vmap { 1 : drop, 2 : accept }",
		"tcp dport 80 drop",
		"ct state new counter drop",
		"meta skuid 1000 counter drop",
		"ip ttl 5-9 counter drop",
		"counter quota over 5 bytes drop",
		"ip ttl set 5 counter",
	}
	ns := newNamespace(t)
	ns.iptables(t, "iptables-nft -A INPUT -s 9.9.9.9 -j REJECT")
	for _, r := range rules {
		ns.Run(t, "", "nft", "add rule ip filter INPUT "+r)
	}
	s := ns.read(t)
	c := s.chainNamed(t, "ip", "filter", "INPUT")
	texts, err := s.Texts(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range rules {
		if r := c.Rules[i+1]; texts[i+1] != want || !s.nodes[c].foreign[r] {
			t.Errorf("rule %d reads %q, want %q; foreign %v", r.Number, texts[i+1], want, s.nodes[c].foreign[r])
		}
	}
}

// Of a chain that both have written to, each rule is shown by its own program,
// in whichever order chains are asked for.
func TestTextsOfMixedChain(t *testing.T) {
	ns := newNamespace(t)
	ns.iptables(t, `set -e
iptables-nft -A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -j DROP
nft 'add rule ip filter INPUT ip saddr { 1.1.1.1, 2.2.2.2 } counter drop'
iptables-nft -A INPUT -s 3.3.3.3 -j DROP
iptables-nft -A OUTPUT -s 4.4.4.4 -j DROP
`)
	want := map[string]string{
		"INPUT": "-A INPUT -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -j DROP\n" +
			"ip saddr { 1.1.1.1, 2.2.2.2 } counter drop\n" +
			"-A INPUT -s 3.3.3.3/32 -j DROP",
		"OUTPUT": "-A OUTPUT -s 4.4.4.4/32 -j DROP",
	}
	for _, order := range [][]string{{"INPUT", "OUTPUT"}, {"OUTPUT", "INPUT"}} {
		s := ns.read(t)
		for _, name := range order {
			texts, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "filter", name))
			if got := strings.Join(texts, "\n"); err != nil || got != want[name] {
				t.Errorf("%s first, %s:\n%s\n%v", order[0], name, got, err)
			}
		}
	}
}
