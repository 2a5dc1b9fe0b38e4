package replay

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func anonymous(verdict ruleset.VerdictKind, ports ...uint64) *ruleset.Set {
	s := &ruleset.Set{Anonymous: true, Complete: true}
	for _, p := range ports {
		v := bytesOf(p, 2)
		e := ruleset.Element{Range: ruleset.Range{From: v, To: v}}
		if verdict != 0 {
			e.Verdict = say(verdict)
		}
		s.Elements = append(s.Elements, e)
	}
	return s
}

func inSet(s *ruleset.Set) *ruleset.Match {
	return &ruleset.Match{Fields: []ruleset.Field{ruleset.DestinationPort}, Set: s}
}

func vmap(s *ruleset.Set) *ruleset.VerdictMap {
	return &ruleset.VerdictMap{Fields: []ruleset.Field{ruleset.DestinationPort}, Set: s}
}

func named(name string) *ruleset.Match {
	b := make([]byte, 16)
	copy(b, name)
	return &ruleset.Match{Fields: []ruleset.Field{ruleset.InName}, Ranges: []ruleset.Range{{From: b, To: b}}}
}

// The packet of each case is for udp port 80, came in by eth0 and is in no
// connection that is known.
func TestARuleIsContradictedByWhatCannotHaveChanged(t *testing.T) {
	named80 := anonymous(0, 81)
	named80.Anonymous = false
	ttl := func(v byte) *ruleset.Assign {
		return &ruleset.Assign{Field: ruleset.IPTTL, Value: []byte{v}, Known: true}
	}
	mayDrop := &ruleset.Opaque{Kind: "hashlimit", Understood: true, MayFail: true, MayDrop: true}
	not := func(s ...ruleset.Statement) *ruleset.Any {
		return &ruleset.Any{Of: [][]ruleset.Statement{s}, Negate: true}
	}
	tests := []struct {
		name   string
		rule   statements
		change func(*Packet)
		want   bool
	}{
		{"its port", statements{dport(80)}, nil, false},
		{"another port", statements{dport(81)}, nil, true},
		{"not its port", statements{isNot(ruleset.DestinationPort, 80)}, nil, true},
		{"another port behind a limit", statements{limit(), dport(81)}, nil, true},
		{"another port behind what may drop by itself", statements{mayDrop, dport(81)}, nil, false},
		{"another protocol", statements{is(ruleset.L4Protocol, 6)}, nil, true},
		{"another source", statements{is(ruleset.IPSource, 0x0a000009)}, nil, true},
		{"its ttl", statements{is(ruleset.IPTTL, 64)}, nil, false},
		{"another ttl", statements{is(ruleset.IPTTL, 63)}, nil, true},
		{"a ttl that the rule itself set", statements{is(ruleset.IPTTL, 63), ttl(64)}, nil, false},
		{"its interface", statements{named("eth0")}, nil, false},
		{"another interface", statements{named("eth1")}, nil, true},
		{"an interface that is not known", statements{named("eth1")}, func(p *Packet) { p.In = Interface{} }, false},
		{"a set of the rule's own with its port", statements{inSet(anonymous(0, 79, 80))}, nil, false},
		{"a set of the rule's own without it", statements{inSet(anonymous(0, 79, 81))}, nil, true},
		{"a set that may have had it", statements{inSet(named80)}, nil, false},
		{"a verdict map that drops it", statements{vmap(anonymous(ruleset.Drop, 80))}, nil, false},
		{"a verdict map that lacks it", statements{vmap(anonymous(ruleset.Drop, 81))}, nil, true},
		{"a verdict map that accepts it", statements{vmap(anonymous(ruleset.Accept, 80))}, nil, true},
		{"none of several that hold", statements{not(dport(80))}, nil, true},
		{"none of several that may hold", statements{not(is(ruleset.Mark, 7))}, nil, false},
		{"another mark", statements{is(ruleset.Mark, 7)}, nil, false},
		{"another state", statements{inState(ruleset.CTEstablished)}, nil, false},
		{"another mark of the connection", statements{is(ruleset.CTMark, 7)}, nil, false},
		{"another length", statements{is(ruleset.Length, 9)}, nil, false},
		{"another kind of packet", statements{is(ruleset.PacketType, 1)}, nil, false},
		{"another owner", statements{is(ruleset.SocketUID, 7)}, nil, false},
		{"a hardware address", statements{is(ruleset.SourceMAC, 7)}, nil, false},
		{"ports that were not recorded", statements{dport(81)}, func(p *Packet) { p.Bytes = p.Bytes[:20] }, false},
		{"a later fragment", statements{dport(81)}, func(p *Packet) { p.Bytes[7] = 1 }, false},
		{"a tag in the bytes", statements{dport(81)}, func(p *Packet) { p.EtherType = 0x8100 }, false},
		{"a header that may be short", statements{&ruleset.Header{Size: 64, Short: ruleset.ShortDrops}, dport(81)}, nil, false},
		{"what is not understood", statements{dport(81), &ruleset.Opaque{Kind: "x", MayFail: true}}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules := input(append(tt.rule, say(ruleset.Drop)))
			rule := rules[0].Tables[0].Chains[0].Rules[0]
			g := New(rules...).Guard()
			p := udp(80)
			if tt.change != nil {
				tt.change(p)
			}
			for range 2 { // nothing of one packet stays for the next
				if got := g.Contradicts(Hook{Family: "ip", Name: "input"}, rule, p); (got != nil) != tt.want {
					t.Errorf("contradicted: %v", got)
				}
				if got := g.Contradicts(Hook{Family: "ip", Name: "input"}, rule, udp(82)); tt.name == "its port" && got == nil {
					t.Error("another packet is not contradicted")
				}
			}
		})
	}
}

func TestOnlyChainsOfAHookDropItsPackets(t *testing.T) {
	for _, tt := range []struct {
		table, hook string // of the chain
		at          Hook
		want        bool
	}{
		{"ip", "input", Hook{Family: "ip", Name: "input"}, true},
		{"ip", "output", Hook{Family: "ip", Name: "input"}, false},
		{"ip6", "input", Hook{Family: "ip", Name: "input"}, false},
		{"inet", "input", Hook{Family: "ip6", Name: "input"}, true},
		{"inet", "input", Hook{Family: "bridge", Name: "input"}, false},
		{"inet", "ingress", Hook{Family: "netdev", Name: "ingress", Device: "eth0"}, true},
		{"netdev", "ingress", Hook{Family: "netdev", Name: "ingress", Device: "eth0"}, true},
		{"ip", "", Hook{Family: "ip", Name: "input"}, true},
		{"ip6", "", Hook{Family: "ip", Name: "input"}, false},
	} {
		c := &ruleset.Chain{Hook: tt.hook, Table: &ruleset.Table{Family: tt.table}}
		if got := MayCall(c, tt.at); got != tt.want {
			t.Errorf("%s %s at %v: %v", tt.table, tt.hook, tt.at, got)
		}
	}
}

func BenchmarkContradicts(b *testing.B) {
	rules := longChain(10000)
	c := rules[0].Tables[0].Chains[0]
	for _, r := range []*ruleset.Rule{c.Rules[0], c.Rules[1]} {
		r.Statements = append(r.Statements[:3:3], dport(80), say(ruleset.Drop)) // so that all is looked at
	}
	g, p := New(rules...).Guard(), udp(80)
	b.ReportAllocs()
	for b.Loop() {
		if g.Contradicts(Hook{Family: "ip", Name: "input"}, c.Rules[0], p) != nil {
			b.Fatal("contradicted")
		}
	}
}
