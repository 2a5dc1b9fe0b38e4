package audit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// world is a packet small enough to try all of them: the truth about a chain is
// what happens to each.
type world struct {
	proto, flags byte
	port         uint16
	source       byte
	mark         byte
	state        byte
}

func (w *world) value(f ruleset.Field) []byte {
	switch f {
	case ruleset.L4Protocol:
		return []byte{w.proto}
	case ruleset.TCPFlags:
		return []byte{w.flags}
	case ruleset.DestinationPort:
		return []byte{byte(w.port >> 8), byte(w.port)}
	case ruleset.IPSource:
		return []byte{10, 0, 0, w.source}
	case ruleset.Mark:
		return []byte{0, 0, 0, w.mark}
	case ruleset.CTState:
		return []byte{0, 0, 0, w.state}
	}
	panic("field not in the small world")
}

func everyWorld(visit func(world)) {
	for _, proto := range []byte{1, 6, 17} {
		for _, flags := range []byte{0, 2, 18} {
			for port := uint16(0x00fe); port < 0x0106; port++ {
				for source := range byte(8) {
					for _, mark := range []byte{0, 1, 3} {
						for _, state := range []byte{1, 2, 8, 64} {
							visit(world{proto, flags, port, source, mark, state})
						}
					}
				}
			}
		}
	}
}

// holds evaluates one match without any of the package's algebra.
func (w *world) holds(m *ruleset.Match) bool {
	var value []byte
	for _, f := range m.Fields {
		value = append(value, w.value(f)...)
	}
	for i := range m.Mask {
		value[i] &= m.Mask[i]
	}
	ranges := m.Ranges
	if m.Set != nil {
		ranges = nil
		for _, e := range m.Set.Elements {
			ranges = append(ranges, e.Range)
		}
	}
	found := false
	for _, r := range ranges {
		inside, at := true, 0
		for _, f := range m.Fields {
			end := at + f.Size()
			inside = inside && bytes.Compare(r.From[at:end], value[at:end]) <= 0 && bytes.Compare(value[at:end], r.To[at:end]) <= 0
			at = end
		}
		found = found || inside
	}
	return found != m.Negate
}

func (w *world) holdsAny(a *ruleset.Any) bool {
	found := false
	for _, alternative := range a.Of {
		all := true
		for _, s := range alternative {
			all = all && w.holds(s.(*ruleset.Match))
		}
		found = found || all
	}
	return found != a.Negate
}

// met runs a chain and notes which rules' matches all held.
func (w world) met(c *ruleset.Chain, note func(*ruleset.Rule)) ruleset.VerdictKind {
rules:
	for _, r := range c.Rules {
		for i, s := range r.Statements {
			last := i == len(r.Statements)-1
			switch s := s.(type) {
			case *ruleset.Match:
				if !w.holds(s) {
					continue rules
				}
			case *ruleset.Any:
				if !w.holdsAny(s) {
					continue rules
				}
			case *ruleset.Assign:
				w.mark = w.mark&s.Mask[3] ^ s.Value[3]
			case *ruleset.Verdict:
				note(r)
				switch s.Kind {
				case ruleset.Return:
					return 0
				case ruleset.Jump:
					if kind := w.met(s.Target, note); kind != 0 {
						return kind
					}
				case ruleset.Goto:
					return w.met(s.Target, note)
				default:
					return s.Kind
				}
			}
			if _, verdict := s.(*ruleset.Verdict); last && !verdict {
				note(r)
			}
		}
		if len(r.Statements) == 0 {
			note(r)
		}
	}
	return 0
}

// TestNoFalseClaims: of each rule that is said never to match, or to be reached
// by nothing, every packet of a small world agrees.
func TestNoFalseClaims(t *testing.T) {
	claims := make(map[Code]int)
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 7))
		table := randomTable(rng)
		reached := make(map[*ruleset.Rule]bool)
		everyWorld(func(w world) {
			// Every chain is entered by every packet.
			for _, c := range table.Chains {
				w.met(c, func(r *ruleset.Rule) {
					if r.Chain == c {
						reached[r] = true
					}
				})
			}
		})
		g := newGraph()
		for _, c := range table.Chains {
			for _, f := range g.shadowed(c, func(r *ruleset.Rule) string { return r.Text }) {
				claims[f.Code]++
				claimed := f.Rules
				if f.Code != NeverMatches {
					claimed = f.Rules[:len(f.Rules)-1]
				}
				for _, r := range claimed {
					if reached[r] {
						t.Fatalf("seed %d: %s: %s, but a packet met it:\n%s", seed, f.Code, f.Message, tableText(table))
					}
				}
			}
		}
	}
	for _, code := range []Code{AcceptBelowDrop, Unreachable, Shadowed, Duplicate, Redundant, NeverMatches} {
		if claims[code] < 2 {
			t.Errorf("%s was claimed %d times only: the test says little about it", code, claims[code])
		}
	}
	t.Logf("claims: %v", claims)
}

// TestNoFalseClaimsAcrossJumps: what one rule alone leads to is met by no packet that
// goes through that one's chain.
func TestNoFalseClaimsAcrossJumps(t *testing.T) {
	claims := make(map[Code]int)
	for seed := range uint64(10_000) {
		rng := rand.New(rand.NewPCG(seed, 11))
		table := randomTable(rng)
		table.Chains = table.Chains[:2]
		outer, inner := table.Chains[0], table.Chains[1]
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				for i, s := range r.Statements {
					if v, ok := s.(*ruleset.Verdict); ok && v.Target != nil {
						r.Statements[i] = &ruleset.Verdict{Kind: ruleset.Drop}
					}
				}
			}
		}
		from := &ruleset.Rule{Chain: outer, Number: 99, Read: true, Statements: []ruleset.Statement{
			randomMatch(rng), &ruleset.Verdict{Kind: ruleset.Jump, Target: inner}}}
		outer.Rules = slices.Insert(outer.Rules, rng.IntN(len(outer.Rules)+1), from)
		for _, f := range newGraph().beforeJump(inner, from) {
			claims[f.Code]++
			everyWorld(func(w world) {
				w.met(outer, func(r *ruleset.Rule) {
					if r == f.Rules[0] {
						t.Fatalf("seed %d: %s: %s, but a packet met it:\n%s", seed, f.Code, f.Message, tableText(table))
					}
				})
			})
		}
	}
	if claims[AcceptBelowDrop] < 20 || claims[Shadowed] < 20 {
		t.Errorf("claimed %v only: the test says little", claims)
	}
	t.Logf("claims: %v", claims)
}

func tableText(t *ruleset.Table) string {
	var b bytes.Buffer
	for _, c := range t.Chains {
		fmt.Fprintf(&b, "chain %s\n", c.Name)
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "  %d:", r.Number)
			for _, s := range r.Statements {
				switch s := s.(type) {
				case *ruleset.Match:
					fmt.Fprintf(&b, " [%v mask %x neg %v %x set %v]", s.Fields, s.Mask, s.Negate, s.Ranges, s.Set)
				case *ruleset.Any:
					fmt.Fprintf(&b, " any(neg %v, %d)", s.Negate, len(s.Of))
				case *ruleset.Assign:
					fmt.Fprintf(&b, " mark=(&%x)^%x", s.Mask, s.Value)
				case *ruleset.Verdict:
					fmt.Fprintf(&b, " verdict %d", s.Kind)
					if s.Target != nil {
						fmt.Fprintf(&b, " %s", s.Target.Name)
					}
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func randomTable(rng *rand.Rand) *ruleset.Table {
	t := &ruleset.Table{Engine: ruleset.NFTables, Family: "ip", Name: "t"}
	for i := range 3 {
		t.Chains = append(t.Chains, &ruleset.Chain{Table: t, Name: fmt.Sprint("c", i)})
	}
	for i, c := range t.Chains {
		for n := range 1 + rng.IntN(12) {
			r := &ruleset.Rule{Chain: c, Number: n + 1, Handle: uint64(n + 1), Read: true}
			for range rng.IntN(4) {
				r.Statements = append(r.Statements, randomStep(rng))
			}
			r.Statements = append(r.Statements, randomEnd(rng, t, i)...)
			if n > 0 && rng.IntN(6) == 0 { // people repeat themselves
				r.Statements = c.Rules[rng.IntN(n)].Statements
			}
			c.Rules = append(c.Rules, r)
		}
	}
	return t
}

func randomStep(rng *rand.Rand) ruleset.Statement {
	switch rng.IntN(12) {
	case 0:
		return &ruleset.Assign{Field: ruleset.Mark, Known: true, Mask: []byte{0, 0, 0, byte(rng.IntN(4))}, Value: []byte{0, 0, 0, byte(rng.IntN(4))}}
	case 1:
		a := &ruleset.Any{Negate: rng.IntN(2) == 0}
		for range 1 + rng.IntN(2) {
			a.Of = append(a.Of, []ruleset.Statement{randomMatch(rng)})
		}
		return a
	}
	return randomMatch(rng)
}

func randomEnd(rng *rand.Rand, t *ruleset.Table, chain int) []ruleset.Statement {
	kinds := []ruleset.VerdictKind{ruleset.Accept, ruleset.Drop, ruleset.Reject, ruleset.Return, ruleset.Jump, ruleset.Goto, 0}
	v := &ruleset.Verdict{Kind: kinds[rng.IntN(len(kinds))]}
	switch {
	case v.Kind == 0:
		return nil
	case v.Kind == ruleset.Jump || v.Kind == ruleset.Goto:
		if chain+1 >= len(t.Chains) {
			return nil
		}
		v.Target = t.Chains[chain+1+rng.IntN(len(t.Chains)-chain-1)]
	}
	return []ruleset.Statement{v}
}

func randomMatch(rng *rand.Rand) *ruleset.Match {
	fields := []ruleset.Field{ruleset.L4Protocol, ruleset.TCPFlags, ruleset.DestinationPort, ruleset.IPSource, ruleset.Mark, ruleset.CTState}
	w := func() *world {
		return &world{
			proto: []byte{1, 6, 17}[rng.IntN(3)], flags: []byte{0, 2, 18}[rng.IntN(3)], port: 0xfe + uint16(rng.IntN(8)),
			source: byte(rng.IntN(8)), mark: []byte{0, 1, 3}[rng.IntN(3)], state: []byte{1, 2, 8, 64}[rng.IntN(4)],
		}
	}
	m := &ruleset.Match{Fields: []ruleset.Field{fields[rng.IntN(len(fields))]}, Negate: rng.IntN(4) == 0}
	if rng.IntN(8) == 0 {
		m.Fields, m.Negate = append(m.Fields, fields[rng.IntN(len(fields))]), false
	}
	ranges := make([]ruleset.Range, 0, 2)
	for range 1 + rng.IntN(2) {
		var r ruleset.Range
		for _, f := range m.Fields {
			a, b := w().value(f), w().value(f)
			if rng.IntN(2) == 0 {
				b = a
			}
			if bytes.Compare(a, b) > 0 {
				a, b = b, a
			}
			r.From, r.To = append(r.From, a...), append(r.To, b...)
		}
		ranges = append(ranges, r)
	}
	if len(m.Fields) == 1 && rng.IntN(4) == 0 {
		m.Mask = randomMask(rng, m.Fields[0].Size())
		for _, r := range ranges {
			for i := range m.Mask {
				r.From[i] &= m.Mask[i]
			}
			copy(r.To, r.From)
		}
	}
	if rng.IntN(4) == 0 {
		m.Set = &ruleset.Set{Anonymous: true, Complete: true}
		for _, r := range ranges {
			m.Set.Elements = append(m.Set.Elements, ruleset.Element{Range: r})
		}
		return m
	}
	m.Ranges = ranges
	return m
}

// randomMask is a prefix or any bits of the last byte.
func randomMask(rng *rand.Rand, size int) []byte {
	mask := bytes.Repeat([]byte{0xff}, size)
	if rng.IntN(2) == 0 {
		return slices.Clone(invert(hostBits(size, size*8-rng.IntN(4))))
	}
	mask[size-1] = byte(rng.IntN(8)) | byte(rng.IntN(2)*0xf8)
	return mask
}
