package diagnose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

var web = traffic{src: "203.0.113.9", dst: "192.0.2.1", sport: 51234, dport: 80, in: "eth0"}

// dropAt is the case of a packet that a rule (or with nil the policy of base)
// dropped.
func dropAt(t traffic, base *ruleset.Chain, rule *ruleset.Rule, rulesets []*ruleset.Ruleset) *Case {
	c := &Case{
		Packet: t.packet(), Verdict: "drop", Cause: "rule",
		Place:    replay.Place{Chain: base, Rule: rule, Base: base},
		Rulesets: rulesets, Namespace: Namespace{Own: true},
	}
	c.Hook = replay.Hook{Family: "ip", Name: base.Hook}
	if c.Packet.EtherType == 0x86dd {
		c.Hook.Family = "ip6"
	}
	if rule == nil {
		c.Cause = "policy"
	} else {
		c.Place.Chain = rule.Chain
	}
	return c
}

func check(t *testing.T, c *Case, want ...drop.Why) {
	t.Helper()
	if diff := cmp.Diff(want, Diagnose(c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAcceptBelowDrop(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "ACCEPT")
	m.rule("INPUT", "", with(tcp(22), accept)...)
	d := m.rule("INPUT", "-p tcp -m tcp --dport 80 -j DROP", with(tcp(80), drops)...)
	m.rule("INPUT", `-s 203.0.113.0/24 -p tcp -m tcp --dport 80 -m comment --comment "it's $(reboot)" -j ACCEPT`,
		with(tcp(80), src("203.0.113.0/24"), accept)...)
	c := dropAt(web, base, d, m.rulesets())
	check(t, c, drop.Why{Code: drop.WhyAcceptBelowDrop, Message: "INPUT rule 3 would accept it, but stands below INPUT rule 2",
		Fix: "iptables-nft -I INPUT 2 -s 203.0.113.0/24 -p tcp -m tcp --dport 80 -j ACCEPT"})

	c.Namespace = Namespace{Name: "blue"}
	check(t, c, drop.Why{Code: drop.WhyAcceptBelowDrop, Message: "INPUT rule 3 would accept it, but stands below INPUT rule 2",
		Fix: "ip netns exec blue iptables-nft -I INPUT 2 -s 203.0.113.0/24 -p tcp -m tcp --dport 80 -j ACCEPT"})

	elsewhere := web
	elsewhere.src = "198.51.100.9" // the accept is not for it
	check(t, dropAt(elsewhere, base, d, m.rulesets()))
}

func TestAcceptBelowDropInUserChain(t *testing.T) {
	m := newModel(ruleset.NFTables, "inet", "filter")
	base := m.base("input", "input", "drop")
	user := m.chain("user")
	m.rule("input", "jump user", jump(user))
	m.rule("input", "tcp dport { 80, 443 } counter packets 12 bytes 700 accept", with(tcp(80), accept)...)
	d := m.rule("user", "tcp dport 80 drop", with(tcp(80), drops)...)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyAcceptBelowDrop,
		Message: "input rule 2 (handle 2) would accept it, but stands below user rule 1 (handle 3)",
		Fix:     "nft insert rule inet filter input handle 1 'tcp dport { 80, 443 } counter accept'"})
}

func TestEstablishedBelowDrop(t *testing.T) {
	m := newModel(ruleset.IPTablesLegacy, "ip", "filter")
	base := m.base("INPUT", "input", "accept")
	d := m.rule("INPUT", "-p tcp -j DROP", proto(packet.ProtoTCP), drops)
	m.rule("INPUT", "-m state --state RELATED,ESTABLISHED -j ACCEPT",
		state(ruleset.CTEstablished|ruleset.CTRelated), accept)
	c := dropAt(web, base, d, m.rulesets())
	c.Packet.Conntrack = replay.Conntrack{State: ruleset.CTEstablished, Entry: true, Direction: 1}
	check(t, c, drop.Why{Code: drop.WhyEstablishedBelowDrop,
		Message: "it belongs to an open connection, and INPUT rule 2, which accepts those, stands below INPUT rule 1",
		Fix:     "iptables-legacy -I INPUT 1 -m state --state RELATED,ESTABLISHED -j ACCEPT"})
}

func TestEstablishedNotAccepted(t *testing.T) {
	m := newModel(ruleset.NFTables, "inet", "fw")
	base := m.base("in", "input", "drop")
	m.rule("in", "", with(tcp(22), accept)...)
	c := dropAt(web, base, nil, m.rulesets())
	c.Packet.Conntrack = replay.Conntrack{State: ruleset.CTEstablished, Entry: true, Direction: 1}
	check(t, c, drop.Why{Code: drop.WhyEstablishedNotAccepted,
		Message: "it is an answer of an open connection, and no rule of in accepts established,related before the in policy",
		Fix:     "nft insert rule inet fw in handle 1 ct state established,related accept"})
}

func TestPolicyDrop(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", in("lo"), accept)
	m.rule("INPUT", "", with(tcp(443), accept)...)
	c := dropAt(web, base, nil, m.rulesets())
	check(t, c, drop.Why{Code: drop.WhyPolicyDrop,
		Message: "no rule of INPUT accepts tcp 80 from 203.0.113.9, and the INPUT policy drops everything else; nearest is INPUT rule 2, for port 443",
		Fix:     "iptables-nft -A INPUT -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"})

	c.Machine = &machine{programs: "iptables"}
	check(t, c, drop.Why{Code: drop.WhyPolicyDrop,
		Message: "no rule of INPUT accepts tcp 80 from 203.0.113.9, and the INPUT policy drops everything else; nothing listens on tcp 80 here either; nearest is INPUT rule 2, for port 443",
		Fix:     ""})

	c.Machine = &machine{programs: "iptables", listeners: map[string][]Listener{"tcp 80": {{PID: 1, Command: "web"}}}}
	if got := Diagnose(c); len(got) != 1 || got[0].Fix != "iptables -A INPUT -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT" {
		t.Errorf("a machine with one backend, named iptables: %+v", got)
	}
}

func TestListeningNotAllowed(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip6", "filter")
	base := m.base("INPUT", "input", "accept")
	d := m.rule("INPUT", "-j REJECT", reject)
	six := web
	six.src, six.dst = "2001:db8::9", "2001:db8::1"
	c := dropAt(six, base, d, m.rulesets())
	c.Verdict = "reject"
	c.Machine = &machine{listeners: map[string][]Listener{"tcp 80": {{PID: 812, Command: "nginx"}}}}
	check(t, c, drop.Why{Code: drop.WhyListeningNotAllowed,
		Message: "nginx (pid 812) listens on tcp 80, but no rule of INPUT accepts it from 2001:db8::9: INPUT rule 1 drops it",
		Fix:     "ip6tables-nft -I INPUT 1 -s 2001:db8::9 -p tcp --dport 80 -j ACCEPT"})
}

func TestTooNarrow(t *testing.T) {
	for _, test := range []struct {
		name       string
		conditions []ruleset.Statement
		want       drop.Why
	}{
		{"source", with(tcp(80), src("10.0.0.0/8"), accept), drop.Why{Code: drop.WhySourceTooNarrow,
			Message: "INPUT rule 1 accepts tcp 80 only from 10.0.0.0/8, and it came from 203.0.113.9",
			Fix:     "iptables-nft -A INPUT -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"}},
		{"destination", with(tcp(80), dst("192.0.2.7/32"), in("eth0"), accept), drop.Why{Code: drop.WhyDestinationTooNarrow,
			Message: "INPUT rule 1 accepts tcp 80 only to 192.0.2.7, and it goes to 192.0.2.1",
			Fix:     "iptables-nft -A INPUT -i eth0 -s 203.0.113.9 -d 192.0.2.1 -p tcp --dport 80 -j ACCEPT"}},
		{"interface", with(tcp(80), in("eth1"), accept), drop.Why{Code: drop.WhyInterfaceMismatch,
			Message: "INPUT rule 1 accepts tcp 80 only if it comes in by eth1, and it came in by eth0",
			Fix:     "iptables-nft -A INPUT -i eth0 -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"}},
		{"not this interface", with(tcp(80), negated(in("eth0")), accept), drop.Why{Code: drop.WhyInterfaceMismatch,
			Message: "INPUT rule 1 accepts tcp 80 only if it comes in by others than eth0, and it came in by eth0", Fix: ""}},
		{"mark that a copy could not ask for", with(tcp(80), src("10.0.0.0/8"), equal([]byte{0, 0, 0, 0}, ruleset.Mark), accept),
			drop.Why{Code: drop.WhySourceTooNarrow, Message: "INPUT rule 1 accepts tcp 80 only from 10.0.0.0/8, and it came from 203.0.113.9", Fix: ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newModel(ruleset.IPTablesNFT, "ip", "filter")
			base := m.base("INPUT", "input", "drop")
			m.rule("INPUT", "", test.conditions...)
			check(t, dropAt(web, base, nil, m.rulesets()), test.want)
		})
	}
}

func TestHostFirst(t *testing.T) {
	for from, wide := range map[string]string{
		"10.0.0.0/8":  "; for all of 203.0.113.0/26: nft add rule inet filter input ip saddr 203.0.113.0/26 tcp dport 80 accept",
		"10.0.0.7/32": "",
	} {
		m := newModel(ruleset.NFTables, "inet", "filter")
		base := m.base("input", "input", "drop")
		m.rule("input", "", with(tcp(80), src(from), accept)...)
		c := dropAt(web, base, nil, m.rulesets())
		c.Machine = &machine{networks: []string{"203.0.113.0/26"}}
		check(t, c, drop.Why{Code: drop.WhySourceTooNarrow,
			Message: "input rule 1 (handle 1) accepts tcp 80 only from " + strings.TrimSuffix(from, "/32") + ", and it came from 203.0.113.9" + wide,
			Fix:     "nft add rule inet filter input ip saddr 203.0.113.9 tcp dport 80 accept"})
	}
}

// Hosts that have no address yet are known by their interface.
func TestNarrowWithoutAddress(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", proto(packet.ProtoUDP), dport(67), in("eth1"), accept)
	check(t, dropAt(traffic{src: "0.0.0.0", dst: "255.255.255.255", proto: packet.ProtoUDP, sport: 68, dport: 67, in: "br0"}, base, nil, m.rulesets()),
		drop.Why{Code: drop.WhyInterfaceMismatch,
			Message: "INPUT rule 1 accepts udp 67 only if it comes in by eth1, and it came in by br0",
			Fix:     "iptables-nft -A INPUT -i br0 -p udp --dport 67 -j ACCEPT"})
}

func TestInterfaceOfJump(t *testing.T) {
	for uplink, wide := range map[string]string{
		"eth0": "", "eth9": "; for all that comes in by eth0: nft add rule inet filter input iifname eth0 tcp dport 80 accept",
	} {
		m := newModel(ruleset.NFTables, "inet", "filter")
		base := m.base("input", "input", "drop")
		lan := m.chain("lan")
		m.rule("input", "", in("eth1"), jump(lan))
		m.rule("lan", "", with(tcp(80), accept)...)
		c := dropAt(web, base, nil, m.rulesets())
		c.Machine = &machine{uplink: uplink}
		check(t, c, drop.Why{Code: drop.WhyInterfaceMismatch,
			Message: "lan rule 1 (handle 2), to which input rule 1 (handle 1) leads, accepts tcp 80 only if it comes in by eth1, and it came in by eth0" + wide,
			Fix:     "nft add rule inet filter input iifname eth0 ip saddr 203.0.113.9 tcp dport 80 accept"})
	}
}

func TestOtherFamily(t *testing.T) {
	four, six := newModel(ruleset.IPTablesNFT, "ip", "filter"), newModel(ruleset.IPTablesNFT, "ip6", "filter")
	four.base("INPUT", "input", "drop")
	four.rule("INPUT", "", with(tcp(80), in("eth0"), accept)...)
	base := six.base("INPUT", "input", "drop")
	p := web
	p.src, p.dst = "2001:db8::9", "2001:db8::1"
	check(t, dropAt(p, base, nil, four.rulesets(six)), drop.Why{Code: drop.WhyOtherFamily,
		Message: "iptables-nft filter INPUT rule 1 accepts tcp 80 for IPv4 only, and it is IPv6",
		Fix:     "ip6tables-nft -A INPUT -i eth0 -s 2001:db8::9 -p tcp --dport 80 -j ACCEPT"})
}

func TestForwardDropped(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("FORWARD", "forward", "drop")
	user := m.chain("DOCKER-USER")
	docker := m.chain("DOCKER-FORWARD")
	m.rule("FORWARD", "", jump(user))
	m.rule("FORWARD", "", jump(docker))
	p := web
	p.dst, p.out = "172.17.0.2", "docker0"
	check(t, dropAt(p, base, nil, m.rulesets()), drop.Why{Code: drop.WhyForwardDropped,
		Message: "it is forwarded from eth0 to docker0, and no rule of FORWARD accepts tcp 80 from 203.0.113.9, and Docker's FORWARD policy drops everything else; what follows in its connection needs a rule, too: Docker's FORWARD policy drops it",
		Fix:     "iptables-nft -A DOCKER-USER -s 203.0.113.9 -d 172.17.0.2 -p tcp --dport 80 -j ACCEPT && iptables-nft -A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"})
}

func TestBridgeNetfilter(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("FORWARD", "forward", "drop")
	p := web
	p.in, p.out = "br0", "br0"
	c := dropAt(p, base, nil, m.rulesets())
	c.Machine = &machine{bridges: "br0", sysctls: map[string]string{"net/bridge/bridge-nf-call-iptables": "1"}}
	check(t, c, drop.Why{Code: drop.WhyBridgeNetfilter,
		Message: "it only crosses the bridge br0, but br_netfilter (net.bridge.bridge-nf-call-iptables=1) has bridged packets meet the firewall, and no rule of FORWARD accepts tcp 80 from 203.0.113.9, and the FORWARD policy drops everything else; what follows in its connection needs a rule, too: the FORWARD policy drops it",
		Fix:     "iptables-nft -A FORWARD -i br0 -o br0 -s 203.0.113.9 -d 192.0.2.1 -p tcp --dport 80 -m physdev --physdev-is-bridged -j ACCEPT && iptables-nft -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"})
}

func translated(p *replay.Packet, old string, port uint16) {
	a := []byte(traffic{src: old, dst: old}.packet().Bytes[12:16])
	p.Conntrack = replay.Conntrack{
		State: ruleset.CTNew, Entry: true, Status: 1 << 5,
		Original: replay.Tuple{Source: p.Bytes[12:16], Destination: a, SourcePort: 51234, DestinationPort: port},
	}
}

func TestDNATBeforeForward(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("FORWARD", "forward", "drop")
	m.rule("FORWARD", "", with(tcp(80), dst("192.0.2.1/32"), accept)...)
	p := web
	p.dst, p.dport, p.out = "10.0.0.2", 8080, "eth1"
	c := dropAt(p, base, nil, m.rulesets())
	translated(&c.Packet, "192.0.2.1", 80)
	check(t, c, drop.Why{Code: drop.WhyDNATBeforeForward,
		Message: "FORWARD rule 1 speaks of 192.0.2.1:80, but DNAT has made that 10.0.0.2:8080 before FORWARD is asked; what follows in its connection needs a rule, too: the FORWARD policy drops it",
		Fix:     "iptables-nft -A FORWARD -d 10.0.0.2 -p tcp --dport 8080 -j ACCEPT && iptables-nft -I FORWARD 1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"})
}

func TestNATNotMatched(t *testing.T) {
	filter, nat := newModel(ruleset.IPTablesNFT, "ip", "filter"), newModel(ruleset.IPTablesNFT, "ip", "nat")
	base := filter.base("INPUT", "input", "drop")
	nat.base("PREROUTING", "prerouting", "accept").Type = "nat"
	to := &ruleset.NAT{Kind: ruleset.DNAT, From: mustAddr("10.0.0.2"), FromPort: 8080, Known: true}
	nat.rule("PREROUTING", "", with(tcp(80), in("eth1"), to)...)
	c := dropAt(web, base, nil, filter.rulesets(nat))
	check(t, c, drop.Why{Code: drop.WhyNATNotMatched,
		Message: "iptables-nft nat PREROUTING rule 1 would send it on to 10.0.0.2:8080, but asks for interface eth1, and its is eth0",
		Fix:     "iptables-nft -t nat -I PREROUTING 1 -i eth0 -s 203.0.113.9 -p tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080"})
}

func TestRateLimit(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	limit := &ruleset.Opaque{Kind: "limit", Understood: true, MayFail: true, Text: "-m limit --limit 5/min"}
	m.rule("INPUT", "-p tcp -m tcp --dport 80 -m limit --limit 5/min -j ACCEPT", with(tcp(80), limit, accept)...)
	check(t, dropAt(web, base, nil, m.rulesets()), drop.Why{Code: drop.WhyRateLimit,
		Message: "INPUT rule 1 lets it through only up to a limit, which was exceeded (5 packets a minute: -m limit --limit 5/min); choose a higher LIMIT",
		Fix:     "iptables-nft -R INPUT 1 -p tcp -m tcp --dport 80 -m limit --limit LIMIT -j ACCEPT"})
}

func set(t *ruleset.Table, name string, elements ...string) *ruleset.Set {
	s := &ruleset.Set{Table: t, Name: name, Complete: true}
	for _, e := range elements {
		r := src(e).Ranges[0]
		s.Elements = append(s.Elements, ruleset.Element{Range: r})
	}
	return s
}

func inSet(s *ruleset.Set) *ruleset.Match {
	return &ruleset.Match{Fields: []ruleset.Field{ruleset.IPSource}, Set: s}
}

func TestSetMember(t *testing.T) {
	m := newModel(ruleset.NFTables, "inet", "filter")
	base := m.base("input", "input", "accept")
	d := m.rule("input", "", inSet(set(m.Table, "quarantine", "203.0.113.9/32")), drops)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhySetMember,
		Message: "it is in the set quarantine, whose members input rule 1 (handle 1) drops: element 203.0.113.9",
		Fix:     "nft delete element inet filter quarantine '{ 203.0.113.9 }'"})

	// A network of which the packet's sender is one: taking it out opens more.
	m = newModel(ruleset.NFTables, "inet", "filter")
	base = m.base("input", "input", "accept")
	d = m.rule("input", "", inSet(set(m.Table, "quarantine", "203.0.113.0/24")), drops)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhySetMember,
		Message: "it is in the set quarantine, whose members input rule 1 (handle 1) drops: element 203.0.113.0/24", Fix: ""})
}

func TestDroppedByVerdictMap(t *testing.T) {
	m := newModel(ruleset.NFTables, "inet", "filter")
	base := m.base("input", "input", "accept")
	ports := &ruleset.Set{Table: m.Table, Name: "services", Complete: true, Elements: []ruleset.Element{
		{Range: ruleset.Range{From: []byte{0, 22}, To: []byte{0, 22}}, Verdict: &ruleset.Verdict{Kind: ruleset.Accept}},
		{Range: ruleset.Range{From: []byte{0, 80}, To: []byte{0, 90}}, Verdict: &ruleset.Verdict{Kind: ruleset.Drop}},
	}}
	d := m.rule("input", "", &ruleset.VerdictMap{Fields: []ruleset.Field{ruleset.DestinationPort}, Set: ports})
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyVerdictMap,
		Message: "the verdict map services of input rule 1 (handle 1) drops 80-90", Fix: ""})
	ports.Anonymous = true
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyVerdictMap,
		Message: "the verdict map of input rule 1 (handle 1) drops 80-90", Fix: ""})
}

func TestNotInSet(t *testing.T) {
	m := newModel(ruleset.IPTablesLegacy, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	s := set(nil, "friends", "198.51.100.0/24")
	s.IPSet = "hash:net"
	m.rule("INPUT", "", with(tcp(80), inSet(s), accept)...)
	check(t, dropAt(web, base, nil, m.rulesets()), drop.Why{Code: drop.WhySetMember,
		Message: "INPUT rule 1 accepts only what is in the set friends, and 203.0.113.9 is not", Fix: "ipset add friends 203.0.113.9"})
}

func TestMeantDrops(t *testing.T) {
	t.Run("fail2ban", func(t *testing.T) {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "accept")
		f2b := m.chain("f2b-sshd")
		m.rule("INPUT", "", jump(f2b))
		d := m.rule("f2b-sshd", "", src("203.0.113.9/32"), reject)
		check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyMeantDrop,
			Message: "fail2ban has banned 203.0.113.9 (jail sshd): the drop is meant"})
	})
	t.Run("blocklist", func(t *testing.T) {
		m := newModel(ruleset.NFTables, "inet", "filter")
		base := m.base("input", "input", "accept")
		d := m.rule("input", "", inSet(set(m.Table, "blocklist4", "203.0.113.0/24")), drops)
		check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyMeantDrop,
			Message: "203.0.113.9 is in the blocklist blocklist4 of input rule 1 (handle 1): the drop looks meant"})
	})
	t.Run("one host", func(t *testing.T) {
		m := newModel(ruleset.NFTables, "inet", "filter")
		base := m.base("input", "input", "accept")
		d := m.rule("input", "", src("203.0.113.9/32"), drops)
		m.rule("input", "", with(tcp(80), accept)...)
		check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyMeantDrop,
			Message: "input rule 1 (handle 1) names 203.0.113.9 itself as its source: the drop looks meant"})
	})
	t.Run("scan", func(t *testing.T) {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "drop")
		p := web
		p.flags = packet.FIN | packet.PSH | packet.URG
		check(t, dropAt(p, base, nil, m.rulesets()), drop.Why{Code: drop.WhyMeantDrop,
			Message: "its TCP flags are FIN, PSH and URG (an Xmas scan), which no program sends: the drop looks meant"})
	})
}

func TestInvalid(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "accept")
	d := m.rule("INPUT", "", state(ruleset.CTInvalid), drops)
	p := web
	p.flags = packet.ACK
	c := dropAt(p, base, d, m.rulesets())
	c.Packet.Conntrack.State = ruleset.CTInvalid
	check(t, sealed(c, 16, 0), drop.Why{Code: drop.WhyConntrackInvalid,
		Message: "conntrack calls it invalid, and INPUT rule 1 drops what is: it is of a connection that conntrack does not know or has closed, or is outside of its window, or its checksum is wrong"})
}

func TestUFW(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", jump(m.chain("ufw-before-input")))
	m.rule("ufw-before-input", "", jump(m.chain("ufw-user-input")))
	check(t, dropAt(web, base, nil, m.rulesets()), drop.Why{Code: drop.WhyPolicyDrop,
		Message: "no rule of INPUT accepts tcp 80 from 203.0.113.9, and ufw's INPUT policy drops everything else",
		Fix:     "ufw allow proto tcp from 203.0.113.9 to any port 80"})
}

// A host that asks for an address has none to be let in by.
func TestDHCP(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	p := traffic{src: "0.0.0.0", dst: "255.255.255.255", proto: packet.ProtoUDP, sport: 68, dport: 67, in: "br0"}
	const no = "no rule of INPUT accepts udp 67 from 0.0.0.0, and "
	c := dropAt(p, base, nil, m.rulesets())
	c.Machine = &machine{}
	check(t, c, drop.Why{Code: drop.WhyPolicyDrop, Message: no + "the INPUT policy drops everything else", Fix: "iptables-nft -A INPUT -i br0 -p udp --dport 67 -j ACCEPT"})
	m.rule("INPUT", "", jump(m.chain("ufw-before-input")))
	m.rule("ufw-before-input", "", jump(m.chain("ufw-user-input")))
	check(t, dropAt(p, base, nil, m.rulesets()), drop.Why{Code: drop.WhyPolicyDrop,
		Message: no + "ufw's INPUT policy drops everything else", Fix: "ufw allow in on br0 to any port 67 proto udp"})
}

func firewalld() (*model, *ruleset.Chain, *ruleset.Rule) {
	m := newModel(ruleset.NFTables, "inet", "firewalld")
	base := m.base("filter_INPUT", "input", "accept")
	base.Priority = 10
	zone := m.chain("filter_IN_public")
	m.rule("filter_INPUT", "", jump(zone))
	d := m.rule("filter_INPUT", "", reject)
	m.rule("filter_IN_public", "", jump(m.chain("filter_IN_public_allow")))
	return m, base, d
}

func TestFirewalld(t *testing.T) {
	m, base, d := firewalld()
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyPolicyDrop,
		Message: "no rule of filter_INPUT accepts tcp 80 from 203.0.113.9, and firewalld's filter_INPUT rule 2 (handle 2) drops everything else; the fix lasts until firewalld's next reload (firewall-cmd --runtime-to-permanent keeps it)",
		Fix:     `firewall-cmd --zone=public '--add-rich-rule=rule family="ipv4" source address="203.0.113.9" port port="80" protocol="tcp" accept'`})
}

// A policy between zones that exists is not made again, nor changed where the packet
// did not come to it.
func TestFirewalldPolicies(t *testing.T) {
	for _, at := range []string{"filter_FORWARD_POLICIES_pre", "elsewhere", ""} {
		m := newModel(ruleset.NFTables, "inet", "firewalld")
		base := m.base("filter_FORWARD", "forward", "accept")
		zone, policies := m.chain("filter_FWD_public"), m.chain("filter_FORWARD_POLICIES_pre")
		m.rule("filter_FORWARD", "", jump(zone))
		m.rule("filter_FWD_public", "", jump(policies))
		drops := m.rule("filter_FWD_public", "", reject)
		if at != "" {
			policy := m.chain("filter_FWD_policy_allow-tcp-80")
			m.rule(policy.Name, "", jump(m.chain(policy.Name+"_allow")))
			m.rule(at, "", jump(policy))
		}
		c := dropAt(web, base, drops, m.rulesets())
		want := map[string]string{
			"filter_FORWARD_POLICIES_pre": "firewall-cmd --policy=allow-tcp-80 '--add-rich-rule=",
			"elsewhere":                   "",
			"":                            "firewall-cmd --permanent --new-policy=allow-tcp-80 && firewall-cmd --permanent --policy=allow-tcp-80 --add-ingress-zone=ANY && ",
		}[at]
		got := Diagnose(c)
		if len(got) != 1 || !strings.HasPrefix(got[0].Fix, want) || (want == "") != (got[0].Fix == "") {
			t.Errorf("policy reached from %q: got %+v, want a fix that begins with %q", at, got, want)
		}
	}
}

func TestTwoManagers(t *testing.T) {
	m, base, d := firewalld()
	hand := newModel(ruleset.IPTablesNFT, "ip", "filter")
	hand.base("INPUT", "input", "drop")
	hand.rule("INPUT", "", with(tcp(80), accept)...)
	got := Diagnose(dropAt(web, base, d, m.rulesets(hand)))
	if len(got) != 2 || got[0].Code != drop.WhyPolicyDrop {
		t.Fatalf("got %+v", got)
	}
	want := drop.Why{Code: drop.WhyTwoManagers, Message: "iptables-nft filter INPUT rule 1 accepts it, but that ends only iptables-nft filter INPUT: " +
		"nft inet firewalld filter_INPUT is asked after it (priority 10, after 0) and drops it"}
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An accept ends only its own base chain: where two drop by default, both have
// to be opened.
func TestFixOfTwoBaseChains(t *testing.T) {
	one, two := newModel(ruleset.IPTablesNFT, "ip", "filter"), newModel(ruleset.NFTables, "inet", "fw")
	base := one.base("INPUT", "input", "drop")
	two.base("in", "input", "drop").Priority = 10
	got := Diagnose(dropAt(web, base, nil, one.rulesets(two)))
	want := "iptables-nft -A INPUT -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT && " +
		"nft add rule inet fw in ip saddr 203.0.113.9 tcp dport 80 accept"
	if len(got) != 1 || got[0].Fix != want {
		t.Errorf("got %+v, want the fix %q", got, want)
	}
}

func TestNothingIsSaidWithoutProof(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "accept")
	d := m.rule("INPUT", "", with(tcp(80), drops)...)
	other := m.rule("INPUT", "", with(tcp(81), drops)...)
	t.Run("a rule that means what it says", func(t *testing.T) {
		check(t, dropAt(web, base, d, m.rulesets()))
	})
	t.Run("a rule that the packet does not match", func(t *testing.T) {
		check(t, dropAt(web, base, other, m.rulesets()))
	})
	t.Run("a ruleset of which nothing was read", func(t *testing.T) {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "drop")
		m.rule("INPUT", "").Read = false
		got := Diagnose(dropAt(web, base, nil, m.rulesets()))
		for _, w := range got {
			if w.Fix != "" {
				t.Errorf("a fix that nothing proves: %+v", w)
			}
		}
	})
}

// What the ruleset alone leaves open before the drop, the drop itself tells.
func TestDoubtBeforeTheDropIsSettledByIt(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", &ruleset.Opaque{Kind: "rt", Understood: true, MayFail: true}, drops)
	m.rule("INPUT", "", &ruleset.Opaque{Kind: "recent", Understood: true, MayFail: true}, accept)
	m.rule("INPUT", "", with(tcp(80), src("10.0.0.0/8"), accept)...)
	check(t, dropAt(web, base, nil, m.rulesets()), drop.Why{Code: drop.WhySourceTooNarrow,
		Message: "INPUT rule 3 accepts tcp 80 only from 10.0.0.0/8, and it came from 203.0.113.9",
		Fix:     "iptables-nft -A INPUT -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"})

	d := m.rule("INPUT", "", reject)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhySourceTooNarrow,
		Message: "INPUT rule 3 accepts tcp 80 only from 10.0.0.0/8, and it came from 203.0.113.9",
		Fix:     "iptables-nft -I INPUT 4 -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"})
}

func TestQueueWithoutListener(t *testing.T) {
	c := &Case{Cause: "rule", Verdict: "queue_failed", Machine: &machine{}}
	if w := Diagnose(c); len(w) != 1 || w[0].Code != drop.WhyQueueWithoutListener {
		t.Errorf("got %v", w)
	}
	c.Machine = &machine{queues: 1} // perhaps that of another rule, or full
	check(t, c)
}
