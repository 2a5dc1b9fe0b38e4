package replay

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// udp is a packet from 10.0.0.1:1000 to 10.0.0.2:port that came in by eth0.
func udp(port uint16) *Packet {
	b := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 3, 232, 0, 0, 0, 8, 0, 0}
	binary.BigEndian.PutUint16(b[22:], port)
	return &Packet{
		EtherType: 0x0800, Bytes: b, Length: len(b), MarkKnown: true, PacketType: 0, UID: -2, GID: -2,
		In: Interface{Known: true, Index: 2, Name: "eth0"}, Out: Interface{Known: true},
		Conntrack: Conntrack{State: ruleset.CTNew},
	}
}

func is(f ruleset.Field, values ...uint64) *ruleset.Match {
	m := &ruleset.Match{Fields: []ruleset.Field{f}}
	for _, v := range values {
		b := bytesOf(v, f.Size())
		m.Ranges = append(m.Ranges, ruleset.Range{From: b, To: b})
	}
	return m
}

func bytesOf(v uint64, size int) []byte {
	b := append(make([]byte, 8), binary.BigEndian.AppendUint64(nil, v)...)
	return b[16-size:]
}

func isNot(f ruleset.Field, v uint64) *ruleset.Match {
	m := is(f, v)
	m.Negate = true
	return m
}

func dport(p uint64) *ruleset.Match { return is(ruleset.DestinationPort, p) }

func inState(bits uint64) *ruleset.Match {
	m := isNot(ruleset.CTState, 0)
	m.Mask = bytesOf(bits, 4)
	return m
}

func mark(v uint64) *ruleset.Assign {
	return &ruleset.Assign{Field: ruleset.Mark, Value: bytesOf(v, 4), Known: true}
}

func say(k ruleset.VerdictKind) *ruleset.Verdict { return &ruleset.Verdict{Kind: k} }

func to(k ruleset.VerdictKind, c *ruleset.Chain) *ruleset.Verdict {
	return &ruleset.Verdict{Kind: k, Target: c}
}

func limit() *ruleset.Opaque {
	return &ruleset.Opaque{Kind: "limit", Understood: true, MayFail: true}
}

type statements = []ruleset.Statement

func chainOf(rules ...statements) *ruleset.Chain {
	c := &ruleset.Chain{Name: "user"}
	for i, s := range rules {
		c.Rules = append(c.Rules, &ruleset.Rule{Chain: c, Number: i + 1, Statements: s, Read: true})
	}
	return c
}

func baseOf(hook string, priority int32, policy string, rules ...statements) *ruleset.Chain {
	c := chainOf(rules...)
	c.Name, c.Hook, c.Priority, c.Policy, c.Type = hook, hook, priority, policy, "filter"
	return c
}

func tableOf(chains ...*ruleset.Chain) *ruleset.Ruleset {
	t := &ruleset.Table{Engine: ruleset.NFTables, Family: "ip", Name: "t", Chains: chains}
	for _, c := range chains {
		c.Table = t
	}
	return &ruleset.Ruleset{Tables: []*ruleset.Table{t}}
}

func input(rules ...statements) []*ruleset.Ruleset {
	return []*ruleset.Ruleset{tableOf(baseOf("input", 0, "accept", rules...))}
}

func drops(policy string, rules ...statements) []*ruleset.Ruleset {
	return []*ruleset.Ruleset{tableOf(baseOf("input", 0, policy, rules...))}
}

func TestRulesDecideInOrder(t *testing.T) {
	jumpTo := func(k ruleset.VerdictKind, rules ...statements) *ruleset.Verdict {
		return to(k, chainOf(rules...))
	}
	unknownState := func(p *Packet) { p.Conntrack = Conntrack{} }
	noMark := func(p *Packet) { p.MarkKnown = false }
	tests := []struct {
		name    string
		rules   []*ruleset.Ruleset
		change  func(*Packet)
		verdict Verdict
		last    int   // number of the rule, 0 for a policy
		may     []int // candidates
	}{
		{"policy accept", drops("accept"), nil, Accepted, 0, nil},
		{"policy drop", drops("drop"), nil, Dropped, 0, []int{0}},
		{"first that matches", input(statements{dport(79), say(ruleset.Drop)}, statements{dport(80), say(ruleset.Drop)}), nil, Dropped, 2, []int{2}},
		{"accept ends the chain", input(statements{dport(80), say(ruleset.Accept)}, statements{say(ruleset.Drop)}), nil, Accepted, 0, nil},
		{"negation", input(statements{isNot(ruleset.DestinationPort, 80), say(ruleset.Drop)}), nil, Accepted, 0, nil},
		{"return in a base chain goes to the policy", drops("drop", statements{say(ruleset.Return)}, statements{say(ruleset.Accept)}), nil, Dropped, 0, []int{0}},
		{"return from a jump goes on behind it", input(statements{jumpTo(ruleset.Jump, statements{say(ruleset.Return)}, statements{say(ruleset.Accept)})}, statements{say(ruleset.Drop)}), nil, Dropped, 2, []int{2}},
		{"goto does not come back", drops("drop", statements{jumpTo(ruleset.Goto, statements{say(ruleset.Return)})}, statements{say(ruleset.Accept)}), nil, Dropped, 0, []int{0}},
		{"goto comes back to the jump before", drops("drop", statements{jumpTo(ruleset.Jump, statements{jumpTo(ruleset.Goto)}, statements{say(ruleset.Drop)})}, statements{say(ruleset.Accept)}), nil, Accepted, 0, nil},
		{"marks are seen behind", input(statements{mark(7)}, statements{is(ruleset.Mark, 7), say(ruleset.Drop)}), nil, Dropped, 2, []int{2}},
		{"limit leaves both ways", input(statements{limit(), say(ruleset.Accept)}, statements{dport(80), say(ruleset.Drop)}), nil, CannotKnow, 0, []int{2}},
		{"limit on a rule that goes on has no say", input(statements{limit()}, statements{say(ruleset.Drop)}), nil, Dropped, 2, []int{2}},
		{"limit before a drop that drops anyway", input(statements{limit(), say(ruleset.Drop)}, statements{say(ruleset.Drop)}), nil, Dropped, 0, []int{1, 2}},
		{"maybe marked", input(statements{limit(), mark(7)}, statements{is(ruleset.Mark, 7), say(ruleset.Drop)}), nil, CannotKnow, 0, []int{2}},
		{"unknown mark", input(statements{is(ruleset.Mark, 7), say(ruleset.Drop)}), noMark, CannotKnow, 0, []int{1}},
		{"state not known", input(statements{inState(ruleset.CTNew), say(ruleset.Drop)}), unknownState, CannotKnow, 0, []int{1}},
		{"every state has its rule", input(statements{inState(ruleset.CTNew), say(ruleset.Accept)}, statements{inState(ruleset.CTEstablished | ruleset.CTRelated), say(ruleset.Accept)}, statements{inState(ruleset.CTInvalid | ruleset.CTUntracked), say(ruleset.Accept)}, statements{say(ruleset.Drop)}), unknownState, Accepted, 0, nil},
		{"reject", input(statements{say(ruleset.Reject)}), nil, Rejected, 1, []int{1}},
		{"queue", input(statements{&ruleset.Verdict{Kind: ruleset.Queue}}), nil, Queued, 1, []int{1}},
		{"unread rule may drop", []*ruleset.Ruleset{tableOf(&ruleset.Chain{Name: "c", Hook: "input", Policy: "accept", Rules: []*ruleset.Rule{{CanDrop: true, Number: 1}}})}, nil, CannotKnow, 0, []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := udp(80)
			if tt.change != nil {
				tt.change(p)
			}
			got := At(tt.rules, Hook{Family: "ip", Name: "input"}, p, nil, Options{})
			if got.Verdict != tt.verdict {
				t.Fatalf("verdict is %v, want %v (candidates %v)", got.Verdict, tt.verdict, numbers(got.Candidates))
			}
			if n := number1(got.Last); n != tt.last {
				t.Errorf("last is rule %d, want %d", n, tt.last)
			}
			if !equal(numbers(got.Candidates), tt.may) {
				t.Errorf("candidates are %v, want %v", numbers(got.Candidates), tt.may)
			}
		})
	}
}

func number1(p Place) int {
	if p.Rule == nil {
		return 0
	}
	return p.Rule.Number
}

func numbers(places []Place) (out []int) {
	for _, p := range places {
		out = append(out, number1(p))
	}
	return out
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestBaseChainsRunByPriority(t *testing.T) {
	early := baseOf("input", -150, "accept", statements{mark(1)}, statements{say(ruleset.Accept)})
	late := baseOf("input", 0, "accept", statements{is(ruleset.Mark, 1), say(ruleset.Drop)})
	rules := []*ruleset.Ruleset{tableOf(late), tableOf(early)}
	got := At(rules, Hook{Family: "ip", Name: "input"}, udp(80), nil, Options{})
	if got.Verdict != Dropped || got.Last.Chain != late {
		t.Fatalf("got %v at %v", got.Verdict, got.Last)
	}
}

func TestEqualPrioritiesRunInEitherOrder(t *testing.T) {
	marks := baseOf("input", 0, "accept", statements{mark(1)})
	looks := baseOf("input", 0, "accept", statements{is(ruleset.Mark, 1), say(ruleset.Drop)})
	rules := []*ruleset.Ruleset{tableOf(marks), tableOf(looks)}
	got := At(rules, Hook{Family: "ip", Name: "input"}, udp(80), nil, Options{})
	if got.Verdict != CannotKnow || !equal(numbers(got.Candidates), []int{1}) {
		t.Fatalf("got %v, candidates %v", got.Verdict, numbers(got.Candidates))
	}
}

func TestNATChangesWhatLaterChainsSee(t *testing.T) {
	nat := baseOf("prerouting", -300, "accept", statements{dport(80), &ruleset.NAT{
		Kind: ruleset.DNAT, From: netip.MustParseAddr("192.0.2.9"), To: netip.MustParseAddr("192.0.2.9"),
		FromPort: 8080, ToPort: 8080, Known: true,
	}})
	nat.Type = "nat"
	before := baseOf("prerouting", -150, "accept", statements{dport(8080), say(ruleset.Drop)})
	after := baseOf("prerouting", 0, "accept",
		statements{is(ruleset.IPDestination, 0xc0000209), dport(8080), say(ruleset.Drop)})
	rules := []*ruleset.Ruleset{tableOf(nat, before, after)}
	got := At(rules, Hook{Family: "ip", Name: "prerouting"}, udp(80), nil, Options{})
	if got.Verdict != Dropped || got.Last.Chain != after {
		t.Fatalf("got %v at %+v", got.Verdict, got.Last)
	}
	p := udp(80)
	p.Conntrack.State = ruleset.CTEstablished
	if got = At(rules, Hook{Family: "ip", Name: "prerouting"}, p, nil, Options{}); got.Verdict != Accepted {
		t.Fatalf("an established connection met the nat chain: %v", got.Verdict)
	}
}
