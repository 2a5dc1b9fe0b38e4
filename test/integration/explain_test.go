package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// answer is what the test reads of explain's answer.
type answer struct {
	Verdict string
	Path    []struct {
		Hook, Verdict string
		Rule          *drop.Rule
	}
	After *struct{ Verdict string }
}

// explain asks about a packet before it is sent.
func explain(t *testing.T, l *lab, p packet, args ...string) answer {
	t.Helper()
	to := p.to
	if to == "" {
		to = hostIP
	}
	proto := "udp"
	if p.tcp {
		proto = "tcp"
	}
	all := []string{"explain", "--netns", l.host, "--json", "--dst", to, "--proto", proto, "--dport", strconv.Itoa(int(p.port))}
	switch six := strings.Contains(to, ":"); {
	case p.local:
		all = append(all, "--src", map[bool]string{false: hostIP, true: hostIP6}[six], "--out", "eth0")
	default:
		all = append(all, "--src", map[bool]string{false: clientIP, true: clientIP6}[six], "--in", "eth0")
	}
	if length := 20 + 8 + 8; !p.tcp {
		if strings.Contains(to, ":") {
			length += 20
		}
		all = append(all, "--length", strconv.Itoa(length))
	}
	var e answer
	out := command(t, "", droptrace, append(all, args...)...)
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("explain: %v in %q", err, out)
	}
	return e
}

// dropper is the rule that the answer names.
func (e *answer) dropper() (rule, bool) {
	if e.Verdict != "drop" && e.Verdict != "reject" {
		return rule{}, false
	}
	last := e.Path[len(e.Path)-1]
	if last.Rule == nil {
		return rule{}, false
	}
	return ruleOf(last.Rule), true
}

func dropCounts(t *testing.T, l *lab, sets []ruleset) truth {
	t.Helper()
	c := make(truth)
	for _, s := range sets {
		s.count(t, l.host, c)
	}
	return c
}

// moved are the counters that have grown.
func moved(before, after truth) []rule {
	var out []rule
	for r, n := range after {
		if n > before[r] {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b rule) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// TestExplainAgreesWithTheKernel asks about packets, sends them, and holds the
// answers to the rules' own counters.
func TestExplainAgreesWithTheKernel(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const mixed = `table inet fw {
	set allowed { type ipv4_addr; flags interval; elements = { 192.0.2.0/30 } }
	chain deep {
		udp dport 2001 counter drop
		return
	}
	chain in { type filter hook input priority 10; policy drop;
		meta l4proto != { tcp, udp } accept
		ct state established,related accept
		jump deep
		ip saddr @allowed udp dport { 2002, 2010-2015 } accept
		ip saddr != @allowed udp dport 2003 accept
		tcp dport 2004 counter reject with tcp reset
		iifname "eth*" tcp dport 2005 accept
		ip6 saddr 2001:db8::/32 udp dport 2006 accept
		udp length 16 udp dport 2007 accept
		counter comment "policy"
	}
	chain forward { type filter hook forward priority 0; policy accept;
		iifname "eth0" oifname "eth1" udp dport 2020 counter drop
		ip daddr 198.51.100.2 tcp dport 2021 counter drop
	}
	chain out { type filter hook output priority 0; policy accept;
		udp dport 2030 counter drop
	}
}
table ip nat {
	chain pre { type nat hook prerouting priority -100; policy accept;
		udp dport 2040 dnat to 192.0.2.1:2001
	}
}`
	const tables = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:BLOCK - [0:0]
-A INPUT -p udp -m multiport --dports 2101,2102 -j BLOCK
-A INPUT -p udp -m udp --dport 2103 -m mark --mark 0x7 -j DROP
-A INPUT -p udp -m udp --dport 2104 -m addrtype --dst-type LOCAL -j DROP
-A INPUT ! -i eth1 -p udp -m udp --dport 2105 -j DROP
-A BLOCK -s 192.0.2.2/32 -p udp -m udp --dport 2101 -j DROP
-A BLOCK -m iprange --src-range 192.0.2.2-192.0.2.9 -j REJECT --reject-with icmp-port-unreachable
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 2103 -j MARK --set-xmark 0x7/0xffffffff
COMMIT
`
	p := func(port uint16) packet { return packet{port: port} }
	syn := func(port uint16) packet { return packet{port: port, tcp: true} }
	for _, s := range []struct {
		name    string
		sets    []ruleset
		packets []packet
	}{
		{"nftables", nft(mixed), []packet{
			p(2001), p(2002), p(2003), p(2012), p(2016), p(2007), p(2006), p(2040), syn(2004), syn(2005), syn(2006),
			{port: 2006, to: hostIP6}, {port: 2002, to: hostIP6}, {port: 2001, to: hostIP6},
			{port: 2020, to: serverIP}, {port: 2021, to: serverIP}, {port: 2021, to: serverIP, tcp: true},
			{port: 2020, to: serverIP6}, {port: 2030, to: clientIP, local: true}, {port: 2031, to: clientIP, local: true},
		}},
		{"nat chains without conntrack", nft(`table ip n {
	chain pre { type nat hook prerouting priority -100; policy accept;
		udp dport 2301 counter drop
	}
}`), []packet{p(2301), p(2302)}},
		{"nat chains with conntrack", nft(`table ip n {
	chain pre { type nat hook prerouting priority -100; policy accept;
		udp dport 2303 counter drop
	}
	chain in { type filter hook input priority 0; policy accept;
		ct state established counter accept
	}
}`), []packet{p(2303), p(2304)}},
		{"iptables-nft", []ruleset{{"iptables-nft", tables}}, []packet{p(2101), p(2102), p(2103), p(2104), p(2105), p(2106), syn(2101)}},
		{"iptables-legacy", legacy(tables), []packet{p(2101), p(2102), p(2103), p(2104), p(2105), p(2106), syn(2101)}},
	} {
		t.Run(s.name, func(t *testing.T) {
			l := newLab(t)
			l.ready(t)
			for _, set := range s.sets {
				set.load(t, l.host)
			}
			for _, p := range s.packets {
				t.Run(fmt.Sprintf("%d %s tcp=%v", p.port, p.to, p.tcp), func(t *testing.T) {
					e := explain(t, l, p)
					before := dropCounts(t, l, s.sets)
					p.send(t, l)
					got := moved(before, dropCounts(t, l, s.sets))
					want, drops := e.dropper()
					switch {
					case e.Verdict == "unknown":
						t.Errorf("explain does not know: %+v", e)
					case drops && (len(got) != 1 || got[0] != want):
						t.Errorf("explain says %v, the kernel counted %v", want, got)
					case !drops && len(got) > 0:
						t.Errorf("explain says %s, the kernel counted %v", e.Verdict, got)
					}
				})
			}
		})
	}
}

// TestExplainedChangeIsWhatTheChangeDoes asks what a change would mean, makes it
// for real in the lab, and sends the packet.
func TestExplainedChangeIsWhatTheChangeDoes(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	drop := legacy("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p udp -m udp --dport 2201 -j DROP\nCOMMIT\n")
	const inSet = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
		"-A INPUT -p udp -m udp --dport 2201 -m set --match-set away src -j DROP\nCOMMIT\n"
	for name, c := range map[string]struct {
		sets   []ruleset
		change string
		after  string
	}{
		"nft insert": {nft("table inet f {\nchain in { type filter hook input priority 0; policy accept;\nudp dport 2201 counter drop\n}\n}"),
			"nft insert rule inet f in udp dport { 2201, 2202 } accept", "accept"},
		"nft add below": {nft("table inet f {\nchain in { type filter hook input priority 0; policy accept;\nudp dport 2201 counter drop\n}\n}"),
			"nft add rule inet f in udp dport 2201 accept", "drop"},
		"iptables-nft beside an ipset": {[]ruleset{{"iptables-nft", inSet}},
			"iptables-nft -D INPUT -p udp --dport 2201 -m set --match-set away src -j DROP", "accept"},
		"out of an ipset":        {[]ruleset{{"iptables-nft", inSet}}, "ipset del away 192.0.2.2", "accept"},
		"something of an ipset":  {[]ruleset{{"iptables-nft", inSet}}, "ipset add away 192.0.2.9", "drop"},
		"iptables-nft replace":   {[]ruleset{{"iptables-nft", drop[0].text}}, "iptables-nft -R INPUT 1 -p udp --dport 2200 -j DROP", "accept"},
		"iptables-legacy delete": {drop, "iptables-legacy -D INPUT -p udp --dport 2201 -j DROP", "accept"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ready(t)
			command(t, "create away hash:ip\nadd away 192.0.2.2\n", "ip", "netns", "exec", l.host, "ipset", "restore")
			for _, set := range c.sets {
				set.load(t, l.host)
			}
			p := packet{port: 2201}
			e := explain(t, l, p, "--with", c.change)
			if e.Verdict != "drop" || e.After == nil || e.After.Verdict != c.after {
				t.Fatalf("explain says %+v, want drop and then %s", e, c.after)
			}
			command(t, "", "ip", append([]string{"netns", "exec", l.host}, strings.Fields(c.change)...)...)
			before := dropCounts(t, l, c.sets)
			p.send(t, l)
			if got := moved(before, dropCounts(t, l, c.sets)); len(got) > 0 != (c.after == "drop") {
				t.Errorf("after the change the kernel counted %v, explain had said %s", got, c.after)
			}
		})
	}
}
