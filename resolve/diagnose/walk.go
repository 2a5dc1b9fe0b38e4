package diagnose

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

// diagnosis is a Case with what its replay showed.
type diagnosis struct {
	c *Case
	f facts
	// result is the replay at the case's hook. Its steps are told only where
	// agrees.
	result *replay.Result
	agrees bool
}

// newDiagnosis replays the packet. Where the replay does not come to the place
// that the kernel named, the model is not the kernel's ruleset (or the packet not
// the one that met it), and nothing that it says is proven.
func newDiagnosis(c *Case) *diagnosis {
	d := &diagnosis{c: c, f: readFacts(&c.Packet)}
	if c.Place.Base == nil {
		return d
	}
	d.result = d.replay(c.Rulesets, &c.Packet, true)
	same := func(p replay.Place) bool {
		return p.Rule == c.Place.Rule && p.Base == c.Place.Base && (p.Rule != nil || p.Chain == c.Place.Chain)
	}
	switch {
	case dropped(d.result.Verdict):
		d.agrees = same(d.result.Last)
	case d.result.Verdict == replay.CannotKnow:
		d.agrees = slices.ContainsFunc(d.result.Candidates, same)
	}
	return d
}

// accepts reports whether the packet passes the hook in these rulesets.
func (d *diagnosis) accepts(rulesets []*ruleset.Ruleset, p *replay.Packet) bool {
	return d.replay(rulesets, p, false).Verdict == replay.Accepted
}

// acceptedBy is the rule that lets the packet out of a base chain; nil where none
// does, or it cannot be known.
func (d *diagnosis) acceptedBy(rulesets []*ruleset.Ruleset, base *ruleset.Chain, p *replay.Packet) *ruleset.Rule {
	r := d.replay(rulesets, p, true)
	if r.Verdict != replay.Accepted {
		return nil
	}
	var last *replay.Step
	for i := range r.Steps {
		if r.Steps[i].Base == base {
			last = &r.Steps[i]
		}
	}
	if last == nil || last.Truth != replay.Yes {
		return nil
	}
	switch s := last.At.(type) {
	case *ruleset.Verdict:
		if s.Kind == ruleset.Accept {
			return last.Rule
		}
	case *ruleset.VerdictMap:
		return last.Rule // a jump would not have been the last step
	}
	return nil
}

// rule shapes

// shape is a rule read for what it asks.
type shape struct {
	// conditions are all steps that can fail and can be told; matches those of
	// them that are matches, or the negation of a single one.
	conditions []ruleset.Statement
	matches    []*ruleset.Match
	doubts     []*ruleset.Opaque
	verdict    *ruleset.Verdict
	nat        *ruleset.NAT
	odd        bool // steps that are none of these and not marks
}

func shapeOf(r *ruleset.Rule) shape {
	s := shape{odd: !r.Read}
	for _, st := range r.Statements {
		switch st := st.(type) {
		case *ruleset.Match, *ruleset.Any:
			s.conditions = append(s.conditions, st)
			if m := single(st); m != nil {
				s.matches = append(s.matches, m)
			}
		case *ruleset.Header:
			s.conditions = append(s.conditions, st)
		case *ruleset.Opaque:
			s.doubts = append(s.doubts, st)
		case *ruleset.Verdict:
			s.verdict = st
		case *ruleset.NAT:
			s.nat = st
		case *ruleset.Assign:
		default:
			s.odd = true
		}
	}
	return s
}

// single is the match that a condition is, or the one that it negates; nil where
// it is more.
func single(st ruleset.Statement) *ruleset.Match {
	switch st := st.(type) {
	case *ruleset.Match:
		return st
	case *ruleset.Any:
		if len(st.Of) != 1 || len(st.Of[0]) != 1 {
			return nil
		}
		m, ok := st.Of[0][0].(*ruleset.Match)
		if !ok || !st.Negate {
			return m
		}
		negated := *m
		negated.Negate = !m.Negate
		if st.Text != "" {
			negated.Text = st.Text
		}
		return &negated
	}
	return nil
}

// simple reports whether all conditions are matches or look for a header.
func (s *shape) simple() bool {
	for _, c := range s.conditions {
		if _, ok := c.(*ruleset.Header); !ok && single(c) == nil {
			return false
		}
	}
	return true
}

func (s *shape) is(kinds ...ruleset.VerdictKind) bool {
	return s.verdict != nil && slices.Contains(kinds, s.verdict.Kind)
}

// has returns the first match that looks at one of the fields.
func (s *shape) has(fields ...ruleset.Field) *ruleset.Match {
	for _, m := range s.matches {
		if looksAt(m, fields...) {
			return m
		}
	}
	return nil
}

func looksAt(m *ruleset.Match, fields ...ruleset.Field) bool {
	return slices.ContainsFunc(m.Fields, func(f ruleset.Field) bool { return slices.Contains(fields, f) })
}

// anchored reports whether the rule is about one service, not about all that
// comes from somewhere: only then can it be meant for this packet.
func (s *shape) anchored() bool {
	m := s.has(ruleset.DestinationPort, ruleset.ICMPType, ruleset.ICMPTypeCode)
	return m != nil && !m.Negate
}

// broad reports whether the rule speaks of no service, host or state: the drop
// at the end of a chain.
func (s *shape) broad() bool {
	if s.odd || len(s.doubts) > 0 || !s.simple() {
		return false
	}
	for _, m := range s.matches {
		for _, f := range m.Fields {
			switch f {
			case ruleset.L4Protocol, ruleset.IPProtocol, ruleset.NFProto, ruleset.EtherType, ruleset.PacketType,
				ruleset.InName, ruleset.OutName, ruleset.InIndex, ruleset.OutIndex:
			default:
				return false
			}
		}
		if m.Set != nil && !m.Set.Anonymous {
			return false
		}
	}
	return true
}

// byDefault reports whether the drop is the policy or a rule that stands for
// one.
func (d *diagnosis) byDefault() bool {
	if d.c.Place.Rule == nil {
		return true
	}
	s := shapeOf(d.c.Place.Rule)
	return d.c.Place.Rule.Read && s.broad()
}

// miss is a rule that would have accepted the packet but for one match.
type miss struct {
	rule   *ruleset.Rule // that has the match
	accept *ruleset.Rule // that accepts: rule, or one that rule leads to
	match  *ruleset.Match
	step   ruleset.Statement // the match as it stands in the rule
}

// maxRelaxed bounds the jumps that are tried with a match less.
const maxRelaxed = 8

// misses are the rules before the drop that nearly accepted it, in their order.
func (d *diagnosis) misses() []miss {
	var out []miss
	relaxations := 0
	for _, m := range d.failedOnce() {
		s := shapeOf(m.rule)
		switch {
		case s.is(ruleset.Accept):
			m.accept = m.rule
			out = append(out, m)
		case relaxations < maxRelaxed:
			relaxations++
			e := relaxed(d.c.Rulesets, m.rule, m.step)
			if r := d.acceptedBy(e.rulesets, e.chains[d.c.Place.Base], &d.c.Packet); r != nil {
				m.accept = e.known(r)
				out = append(out, m)
			}
		}
	}
	return out
}

// failedOnce are the rules that accept or jump, and of whose conditions all hold
// but one.
func (d *diagnosis) failedOnce() []miss {
	var candidates []miss
	var rest [][]ruleset.Statement
	for i := range d.result.Steps {
		step := &d.result.Steps[i]
		if step.Base != d.c.Place.Base || step.Truth != replay.No || step.Rule == nil {
			continue
		}
		s := shapeOf(step.Rule)
		m := single(step.At)
		if m == nil || s.odd || len(s.doubts) > 0 || !s.is(ruleset.Accept, ruleset.Jump, ruleset.Goto) {
			continue
		}
		candidates = append(candidates, miss{rule: step.Rule, match: m, step: step.At})
		rest = append(rest, slices.DeleteFunc(s.conditions, func(c ruleset.Statement) bool { return c == step.At }))
	}
	if len(candidates) == 0 {
		return nil
	}
	var out []miss
	for i, t := range d.evaluate(rest) {
		if t == replay.Yes {
			out = append(out, candidates[i])
		}
	}
	return out
}

// jumpIn is the rule of chain that the walk to the drop went through; the
// dropping rule itself where the chain is its own. index is len(rules) for a
// policy.
func (d *diagnosis) jumpIn(chain *ruleset.Chain) (index int, ok bool) {
	p := d.c.Place
	if p.Chain == chain {
		if p.Rule == nil {
			return len(chain.Rules), true
		}
		return slices.Index(chain.Rules, p.Rule), true
	}
	// The way back: the last step of each depth less.
	depth := -1
	for _, step := range slices.Backward(d.steps()) {
		switch {
		case step.Base != p.Base || step.Rule == nil:
			continue
		case depth < 0:
			if step.Rule != p.Rule {
				continue
			}
			depth = step.Depth
		case step.Depth < depth:
			depth = step.Depth
			if step.Chain == chain {
				return slices.Index(chain.Rules, step.Rule), true
			}
		}
	}
	return 0, false
}

func (d *diagnosis) steps() []replay.Step {
	if d.result == nil {
		return nil
	}
	return d.result.Steps
}
