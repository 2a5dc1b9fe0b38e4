package diagnose

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// A drop above a broader accept is an exception from it, and the accept in front
// of it would undo that.
func TestExceptionsAreNoMisplacedDrops(t *testing.T) {
	recent := &ruleset.Opaque{Kind: "recent", Understood: true, MayFail: true}
	for name, test := range map[string]struct{ drops, accept []ruleset.Statement }{
		"one service, accepted the rest":   {with(tcp(80), drops), []ruleset.Statement{accept}},
		"one service of accepted networks": {with(tcp(80), drops), []ruleset.Statement{src("203.0.113.0/24"), accept}},
		"a network, accepted a service":    {[]ruleset.Statement{src("203.0.113.0/24"), drops}, with(tcp(80), accept)},
		"too many, accepted the same":      {with(tcp(80), recent, drops), with(tcp(80), accept)},
		"not a SYN, accepted the service":  {[]ruleset.Statement{negated(equal([]byte{1}, ruleset.TCPFlags)), drops}, with(tcp(80), accept)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(ruleset.IPTablesNFT, "ip", "filter")
			base := m.base("INPUT", "input", "accept")
			d := m.rule("INPUT", "-j DROP", test.drops...)
			m.rule("INPUT", "-j ACCEPT", test.accept...)
			check(t, dropAt(web, base, d, m.rulesets()))
		})
	}
}

func TestAcceptBelowADropOfAllIsNotMovedWhole(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "accept")
	d := m.rule("INPUT", "-i eth0 -j DROP", in("eth0"), drops)
	m.rule("INPUT", "-s 203.0.113.0/24 -j ACCEPT", src("203.0.113.0/24"), accept)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyAcceptBelowDrop,
		Message: "INPUT rule 2 would accept it, but stands below INPUT rule 1",
		Fix:     "iptables-nft -I INPUT 1 -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"})
}

// The rule that leads to a chain of log and drop is the one that chose the packet.
func TestDropByAChainThatOnlyDrops(t *testing.T) {
	build := func(conditions ...ruleset.Statement) *Case {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "drop")
		logdrop := m.chain("LOGDROP")
		m.rule("INPUT", "", append(conditions, jump(logdrop))...)
		m.rule("LOGDROP", "-m limit --limit 3/min -j LOG", &ruleset.Opaque{Kind: "limit", Understood: true, MayFail: true})
		return dropAt(web, base, m.rule("LOGDROP", "-j DROP", drops), m.rulesets())
	}
	check(t, build(inSet(set(nil, "blocklist", "203.0.113.0/24"))), drop.Why{Code: drop.WhyMeantDrop,
		Message: "203.0.113.9 is in the blocklist blocklist of INPUT rule 1: the drop looks meant"})
	check(t, build(src("203.0.113.9/32")), drop.Why{Code: drop.WhyMeantDrop,
		Message: "INPUT rule 1 names 203.0.113.9 itself as its source: the drop looks meant"})
	check(t, build(tcp(80)...))
	check(t, build(), drop.Why{Code: drop.WhyPolicyDrop,
		Message: "no rule of INPUT accepts tcp 80 from 203.0.113.9, and LOGDROP rule 2 drops everything else",
		Fix:     "iptables-nft -I LOGDROP 2 -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"})
}

// A drop with a limit drops what keeps to it.
func TestDropUpToALimit(t *testing.T) {
	for text, want := range map[string]bool{
		"-m limit --limit 10/sec":            false,
		"-m hashlimit --hashlimit-upto 1/s":  false,
		"-m hashlimit --hashlimit-above 1/s": true,
		"-m connlimit --connlimit-above 5":   true,
		"-m quota ! --quota 100":             true,
	} {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "accept")
		kind, _, _ := strings.Cut(strings.TrimPrefix(text, "-m "), " ")
		d := m.rule("INPUT", "-p tcp "+text+" -j DROP", with(tcp(80), &ruleset.Opaque{Kind: kind, Understood: true, MayFail: true, Text: text}, drops)...)
		if got := Diagnose(dropAt(web, base, d, m.rulesets())); len(got) > 0 != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestRelatedNotAccepted(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", state(ruleset.CTEstablished), accept)
	c := dropAt(web, base, nil, m.rulesets())
	c.Packet.Conntrack = replay.Conntrack{State: ruleset.CTRelated, Entry: true}
	check(t, c, drop.Why{Code: drop.WhyEstablishedNotAccepted,
		Message: "it opens a connection related to an open one, and INPUT rule 1 accepts established, but not related",
		Fix:     "iptables-nft -I INPUT 1 -m conntrack --ctstate RELATED -j ACCEPT"})
}

func TestUntracked(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", state(ruleset.CTEstablished|ruleset.CTRelated), accept)
	c := dropAt(web, base, nil, m.rulesets())
	c.Packet.Conntrack.State = ruleset.CTUntracked
	// Without a rule that says so, conntrack itself left it alone.
	if w := Diagnose(c); len(w) != 1 || w[0].Code != drop.WhyPolicyDrop {
		t.Errorf("no rule says notrack: %+v", w)
	}
	raw := newModel(ruleset.IPTablesNFT, "ip", "raw")
	raw.base("PREROUTING", "prerouting", "accept")
	raw.rule("PREROUTING", "", dport(443), &ruleset.NoTrack{})
	c.Rulesets = m.rulesets(raw)
	if w := Diagnose(c); len(w) != 1 || w[0].Code != drop.WhyPolicyDrop {
		t.Errorf("notrack is for another port: %+v", w)
	}
	raw.rule("PREROUTING", "", dport(80), &ruleset.NoTrack{})
	if w := Diagnose(c); len(w) != 1 || w[0].Code != drop.WhyPolicyDrop {
		t.Errorf("a SYN is never established: %+v", w)
	}
	m.rule("INPUT", "", dport(80), state(ruleset.CTNew), accept)
	check(t, c, drop.Why{Code: drop.WhyUntracked,
		Message: "iptables-nft raw PREROUTING rule 2 keeps conntrack from it (notrack), so INPUT rule 2, which matches the state, does not accept it"})
}

func TestNeighbourDiscovery(t *testing.T) {
	m := newModel(ruleset.NFTables, "inet", "fw")
	base := m.base("in", "input", "drop")
	m.rule("in", "", state(ruleset.CTEstablished), accept)
	p := traffic{src: "fe80::2", dst: "ff02::1:ff00:1", proto: packet.ProtoICMPv6, icmp: 135, in: "eth0"}
	c := dropAt(p, base, nil, m.rulesets())
	c.Packet.Conntrack.State = ruleset.CTUntracked
	check(t, c, drop.Why{Code: drop.WhyPolicyDrop,
		Message: "it is a neighbour solicitation, without which no IPv6 neighbour finds another, and no rule of in accepts icmpv6 type 135 before the in policy",
		Fix:     "nft add rule inet fw in icmpv6 type 135 accept"})
	p.icmp = 133
	check(t, dropAt(p, base, nil, m.rulesets()), drop.Why{Code: drop.WhyPolicyDrop,
		Message: "it is a router solicitation, which routers alone answer, and no rule of in accepts icmpv6 type 133 before the in policy"})
}

// A later hook may drop what an earlier one lets through.
func TestFixOfLaterHooks(t *testing.T) {
	m := newModel(ruleset.NFTables, "inet", "fw")
	base := m.base("pre", "prerouting", "drop")
	m.base("in", "input", "drop")
	c := dropAt(web, base, nil, m.rulesets())
	c.Machine = &machine{local: []string{"192.0.2.1"}}
	const first = "nft add rule inet fw pre ip saddr 203.0.113.9 ip daddr 192.0.2.1 tcp dport 80 accept"
	if got := Diagnose(c); len(got) != 1 || got[0].Fix != first+" && nft add rule inet fw in ip saddr 203.0.113.9 tcp dport 80 accept" {
		t.Errorf("got %+v", got)
	}
	c.Machine = nil // where it goes is not known
	if got := Diagnose(c); len(got) != 1 || got[0].Fix != first {
		t.Errorf("got %+v", got)
	}
}

func TestInside(t *testing.T) {
	network := func(a string, mask ...byte) *ruleset.Match {
		m := equal(mustAddr(a).AsSlice(), ruleset.IPSource)
		m.Mask = mask
		return m
	}
	named := inSet(&ruleset.Set{Name: "some"})
	for _, test := range []struct {
		a, b *ruleset.Match
		want bool
	}{
		{src("192.0.2.0/25"), src("192.0.2.0/24"), true},
		{src("192.0.2.0/24"), src("192.0.2.0/25"), false},
		{network("192.0.2.1"), network("192.0.2.0", 255, 255, 255, 0), true},
		{network("192.0.2.0", 255, 255, 255, 0), network("192.0.2.1"), false},
		{src("192.0.2.0/24"), dst("192.0.2.0/24"), false},
		{negated(src("192.0.2.0/24")), negated(src("192.0.2.0/25")), true},
		{negated(src("192.0.2.0/25")), negated(src("192.0.2.0/24")), false},
		{src("192.0.2.0/24"), negated(src("10.0.0.0/8")), false},
		{named, named, true},
		{named, src("0.0.0.0/0"), false},
	} {
		if got := inside(test.a, test.b); got != test.want {
			t.Errorf("%+v inside %+v: %v", test.a, test.b, got)
		}
	}
}

// Where no rule asks for a state, conntrack gives none, and the flags tell.
func TestAnswerWithoutConntrack(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("FORWARD", "forward", "drop")
	m.rule("FORWARD", "", with(tcp(443), in("eth0"), accept)...)
	p := traffic{src: "198.51.100.2", dst: "192.0.2.2", sport: 443, dport: 52982, flags: packet.SYN | packet.ACK, in: "eth1", out: "eth0"}
	c := dropAt(p, base, nil, m.rulesets())
	c.Packet.Conntrack = replay.Conntrack{}
	check(t, c, drop.Why{Code: drop.WhyEstablishedNotAccepted,
		Message: "its TCP flags (syn, ack) are not those that open a connection, and no rule of FORWARD accepts established,related before the FORWARD policy",
		Fix:     "iptables-nft -I FORWARD 1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"})
}

func TestMiddleOfAnUnknownConnection(t *testing.T) {
	build := func(flags packet.TCPFlags, established ...ruleset.Statement) *Case {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "drop")
		m.rule("INPUT", "-m conntrack --ctstate ESTABLISHED -j ACCEPT", append(established, accept)...)
		p := web
		p.flags = flags
		return dropAt(p, base, nil, m.rulesets())
	}
	known := state(ruleset.CTEstablished)
	check(t, build(packet.ACK|packet.PSH, known), drop.Why{Code: drop.WhyConnectionUnknown,
		Message: "its TCP flags (psh, ack) are from the middle of a connection, and conntrack knows none: " +
			"idle for too long, begun before conntrack was, answered by another way, or a scan"})
	for name, c := range map[string]*Case{
		"opens one": build(packet.SYN, known), "would be dropped all the same": build(packet.ACK, src("10.0.0.0/8"), known),
	} {
		if got := Diagnose(c); len(got) != 1 || got[0].Code != drop.WhyPolicyDrop {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestListOfRecent(t *testing.T) {
	build := func(text string) *Case {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "accept")
		recent := &ruleset.Opaque{Kind: "recent", Understood: true, MayFail: true, Text: "-m recent " + text + " --mask 255.255.255.255 --rsource"}
		return dropAt(web, base, m.rule("INPUT", recent.Text+" -j DROP", recent, drops), m.rulesets())
	}
	check(t, build("--rcheck --name bad"), drop.Why{Code: drop.WhyMeantDrop,
		Message: "it is in the list bad of INPUT rule 1 (/proc/net/xt_recent/bad): the drop looks meant"})
	check(t, build("! --rcheck --name knocked"))
}

func TestRaisedLimitKeepsTheVerdict(t *testing.T) {
	for statement, want := range map[string]string{
		"tcp dport 80 ct count over 5 reject":                                "tcp dport 80 ct count over LIMIT reject",
		"tcp dport 80 quota over 25 mbytes drop":                             "tcp dport 80 quota over LIMIT drop",
		"tcp dport 80 limit rate over 5 mbytes/second drop":                  "tcp dport 80 limit rate over LIMIT drop",
		"tcp dport 80 limit rate over 5/minute burst 2 packets counter drop": "tcp dport 80 limit rate over LIMIT burst 2 packets counter drop",
	} {
		m := newModel(ruleset.NFTables, "inet", "fw")
		base := m.base("in", "input", "accept")
		d := m.rule("in", statement, with(tcp(80), &ruleset.Opaque{Kind: "limit", Understood: true, MayFail: true, Text: "limit"}, drops)...)
		got := Diagnose(dropAt(web, base, d, m.rulesets()))
		if len(got) != 1 || got[0].Fix != "nft replace rule inet fw in handle 1 "+want {
			t.Errorf("%s: %+v", statement, got)
		}
	}
}

// A rule with a port lets the first fragment through, and the others die.
func TestFragmentsHaveNoFix(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("FORWARD", "forward", "drop")
	c := dropAt(web, base, nil, m.rulesets())
	c.Packet.Bytes[6] |= 0x20 // more fragments
	got := Diagnose(c)
	if len(got) != 1 || got[0].Fix != "" || !strings.Contains(got[0].Message, "first fragment of a larger packet") {
		t.Errorf("got %+v", got)
	}
}

// The usual protection from floods: a chain that goes back up to a limit, and drops.
func TestDropBehindAReturnUpToALimit(t *testing.T) {
	build := func(doubt *ruleset.Opaque) *Case {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "drop")
		flood := m.chain("FLOOD")
		m.rule("INPUT", "-p tcp -j FLOOD", proto(packet.ProtoTCP), jump(flood))
		m.rule("INPUT", "-p tcp -m tcp --dport 80 -j ACCEPT", with(tcp(80), accept)...)
		m.rule("FLOOD", doubt.Text+" -j RETURN", doubt, verdict(ruleset.Return))
		return dropAt(web, base, m.rule("FLOOD", "-j DROP", drops), m.rulesets())
	}
	check(t, build(&ruleset.Opaque{Kind: "limit", Understood: true, MayFail: true, Text: "-m limit --limit 9/sec"}), drop.Why{Code: drop.WhyRateLimit,
		Message: "FLOOD rule 1 lets it through only up to a limit, which was exceeded (9 packets a second: -m limit --limit 9/sec); choose a higher LIMIT",
		Fix:     "iptables-nft -R FLOOD 1 -m limit --limit LIMIT -j RETURN"})
	check(t, build(&ruleset.Opaque{Kind: "recent", Understood: true, MayFail: true, Text: "-m recent ! --rcheck"}))
}
