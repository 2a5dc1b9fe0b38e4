package diagnose

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestWhitelistWrittenAsADrop(t *testing.T) {
	for name, test := range map[string]struct {
		drop []ruleset.Statement
		want drop.Why
	}{
		"one service": {with(tcp(80), negated(src("10.0.0.0/8")), drops), drop.Why{Code: drop.WhySourceTooNarrow,
			Message: "INPUT rule 1 drops what does not come from 10.0.0.0/8, and it came from 203.0.113.9",
			Fix:     "iptables-nft -I INPUT 1 -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"}},
		"all of a source": {[]ruleset.Statement{negated(src("10.0.0.0/8")), drops}, drop.Why{Code: drop.WhySourceTooNarrow,
			Message: "INPUT rule 1 drops what does not come from 10.0.0.0/8, and it came from 203.0.113.9", Fix: ""}},
		"an interface": {with(tcp(80), negated(in("eth9")), drops), drop.Why{Code: drop.WhyInterfaceMismatch,
			Message: "INPUT rule 1 drops what does not come in by eth9, and it came in by eth0",
			Fix:     "iptables-nft -I INPUT 1 -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(ruleset.IPTablesNFT, "ip", "filter")
			base := m.base("INPUT", "input", "accept")
			d := m.rule("INPUT", "", test.drop...)
			check(t, dropAt(web, base, d, m.rulesets()), test.want)
		})
	}

	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "accept")
	d := m.rule("INPUT", "", negated(src("10.0.0.0/8")), negated(in("eth9")), drops)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhySourceTooNarrow,
		Message: "INPUT rule 1 spares only what comes from 10.0.0.0/8 or comes in by eth9, and it came from 203.0.113.9, came in by eth0"})

	// wg-quick's: answers of a local listener die, too.
	m = newModel(ruleset.IPTablesNFT, "ip", "raw")
	base = m.base("PREROUTING", "prerouting", "accept")
	kind := negated(equal([]byte{0, 0, 0, 2}, ruleset.FIB(ruleset.FIBSource, ruleset.FIBType)))
	kind.Text = "-m addrtype ! --src-type LOCAL"
	d = m.rule("PREROUTING", "", negated(in("wg0")), dst("192.0.2.1/32"), kind, drops)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhyInterfaceMismatch,
		Message: "PREROUTING rule 1 spares only what comes in by wg0 or matches -m addrtype --src-type LOCAL, and it came in by eth0"})
}

func TestWhitelistOfASetWrittenAsADrop(t *testing.T) {
	m := newModel(ruleset.NFTables, "ip", "fw")
	base := m.base("in", "input", "accept")
	ok := &ruleset.Set{Table: m.Table, Name: "ok", Complete: true}
	not := &ruleset.Match{Fields: []ruleset.Field{ruleset.IPSource}, Set: ok, Negate: true}
	d := m.rule("in", "", with(tcp(80), not, drops)...)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhySetMember,
		Message: "in rule 1 (handle 1) drops what is not in the set ok, and 203.0.113.9 is not",
		Fix:     "nft add element ip fw ok '{ 203.0.113.9 }'"})

	// Another rule asks the set, too: who is in it is not this rule's alone to say.
	m.rule("in", "", with(tcp(443), not, drops)...)
	check(t, dropAt(web, base, d, m.rulesets()), drop.Why{Code: drop.WhySetMember,
		Message: "in rule 1 (handle 1) drops what is not in the set ok, and 203.0.113.9 is not",
		Fix:     "nft insert rule ip fw in handle 1 ip saddr 203.0.113.9 tcp dport 80 accept"})
}

func TestReversePathByARule(t *testing.T) {
	m := newModel(ruleset.NFTables, "inet", "fw")
	base := m.base("pre", "input", "accept")
	missing := equal([]byte{0, 0, 0, 0}, ruleset.FIB(ruleset.FIBSource|ruleset.FIBIn, ruleset.FIBOutIndex))
	d := m.rule("pre", "", missing, drops)
	c := dropAt(web, base, d, m.rulesets())
	c.Machine = &machine{routes: map[string]string{"203.0.113.9": "eth7"}}
	check(t, c, drop.Why{Code: drop.WhyReversePath, Message: "pre rule 1 (handle 1) drops what comes in by another interface than answers leave by: " +
		"it came in by eth0, and answers to its source 203.0.113.9 leave by eth7", Fix: ""})
	c.Machine = &machine{}
	check(t, c, drop.Why{Code: drop.WhyReversePath, Message: "pre rule 1 (handle 1) drops what no route leads back to, and there is none to its source 203.0.113.9", Fix: ""})
	c.Machine = &machine{routes: map[string]string{"203.0.113.9": "eth0"}}
	check(t, c) // the route was set since
}

func TestEstablishedOnAnotherInterface(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", in("eth9"), state(ruleset.CTEstablished|ruleset.CTRelated), accept)
	c := dropAt(web, base, nil, m.rulesets())
	c.Packet.Conntrack = replay.Conntrack{State: ruleset.CTEstablished, Entry: true, Direction: 1}
	check(t, c, drop.Why{Code: drop.WhyInterfaceMismatch,
		Message: "INPUT rule 1 accepts what belongs to an open connection only if it comes in by eth9, and it came in by eth0",
		Fix:     "iptables-nft -I INPUT 1 -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"})
}
