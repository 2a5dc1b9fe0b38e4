package diagnose

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

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
	if !d.asked {
		d.asked, d.near = true, d.findMisses()
	}
	return d.near
}

func (d *diagnosis) findMisses() []miss {
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
			e := d.relaxed(m.rule, m.step)
			if r := d.acceptedBy(e.rulesets, e.now(d.c.Place.Base), &d.c.Packet); r != nil {
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
		m := single(step.At)
		if m == nil || !looksAt(m, ruleset.DestinationPort) && d.otherPort(step.Rule) {
			continue // where the port fails, too, there are thousands of these
		}
		s := shapeOf(step.Rule)
		if s.odd || len(s.doubts) > 0 || !s.is(ruleset.Accept, ruleset.Jump, ruleset.Goto) {
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

// otherPort reports whether the rule asks for a destination port that the packet
// has not. It is a quick look at the usual case; false says nothing.
func (d *diagnosis) otherPort(r *ruleset.Rule) bool {
	for _, st := range r.Statements {
		m, ok := st.(*ruleset.Match)
		if !ok || len(m.Fields) != 1 || m.Fields[0] != ruleset.DestinationPort ||
			m.Set != nil || m.Mask != nil || m.Negate || !d.f.HasPorts {
			continue
		}
		value := [2]byte{byte(d.f.DestinationPort >> 8), byte(d.f.DestinationPort)}
		return !slices.ContainsFunc(m.Ranges, func(r ruleset.Range) bool { return between(r, value[:]) })
	}
	return false
}
