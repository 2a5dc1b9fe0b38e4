package diagnose

import (
	"bytes"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// dropper is the rule that singled the packet out: the one that dropped it, or
// that sent it to a chain that does nothing but log and drop.
type dropper struct {
	rule *ruleset.Rule
	// shape is that of all rules from there to the drop together.
	shape shape
	// by is the map that sent it there, where the last step was one.
	lookup *ruleset.VerdictMap
	// rules are all of them, the dropping one first.
	rules []*ruleset.Rule
}

// with is the rule that a match is of.
func (d *dropper) with(m *ruleset.Match) *ruleset.Rule {
	for _, r := range d.rules {
		for _, st := range r.Statements {
			if own := single(st); own == m || own != nil && m != nil && own.Text != "" && own.Text == m.Text && slices.Equal(own.Fields, m.Fields) {
				return r
			}
		}
	}
	return d.rule
}

// dropper is found by the way the packet went. Its rule is nil for a policy.
func (d *diagnosis) dropper() dropper {
	r := d.c.Place.Rule
	if r == nil {
		return dropper{}
	}
	out := dropper{rule: r, shape: shapeOf(r), rules: []*ruleset.Rule{r}}
	// What a rule before did not let go back, for a limit, the drop is for.
	for i := range d.steps() {
		step := &d.result.Steps[i]
		if step.Rule == nil || step.Chain != r.Chain || step.Truth != replay.Unknown {
			continue
		}
		if s := shapeOf(step.Rule); s.is(ruleset.Return) {
			out.shape.doubts = append(out.shape.doubts, s.doubts...)
		}
	}
	for range maxJumps {
		from := d.sender(out.rule.Chain)
		if from == nil || !onlyDrops(out.rule.Chain) {
			break
		}
		s := shapeOf(from)
		out.rule, out.rules = from, append(out.rules, from)
		out.shape.conditions = append(slices.Clip(s.conditions), out.shape.conditions...)
		out.shape.matches = append(slices.Clip(s.matches), out.shape.matches...)
		out.shape.doubts = append(slices.Clip(s.doubts), out.shape.doubts...)
		out.shape.odd = out.shape.odd || s.odd
		out.lookup = verdictMap(from)
	}
	return out
}

// maxJumps is no less than the kernel's own bound (NFT_JUMP_STACK_SIZE).
const maxJumps = 16

// sender is the rule that sent the packet to a chain, the last one where there are
// several; nil for a base chain.
func (d *diagnosis) sender(chain *ruleset.Chain) *ruleset.Rule {
	if chain.IsBase() {
		return nil
	}
	for _, step := range slices.Backward(d.steps()) {
		if step.Base == d.c.Place.Base && step.Rule != nil && step.Truth != replay.No && slices.Contains(targets(step.Rule), chain) {
			return step.Rule
		}
	}
	return nil
}

// onlyDrops reports whether a chain does nothing but log and drop. Those by which
// ufw has the policy decide are not meant: they are the policy.
func onlyDrops(chain *ruleset.Chain) bool {
	if strings.HasPrefix(chain.Name, "ufw-skip-to-policy-") || strings.HasPrefix(chain.Name, "ufw6-skip-to-policy-") {
		return false
	}
	for _, r := range chain.Rules {
		s := shapeOf(r)
		if s.odd || s.nat != nil || s.verdict != nil && !s.is(ruleset.Drop, ruleset.Reject, ruleset.Continue) {
			return false
		}
	}
	return true
}

func verdictMap(r *ruleset.Rule) *ruleset.VerdictMap {
	for _, st := range r.Statements {
		if m, ok := st.(*ruleset.VerdictMap); ok && m.Set != nil {
			return m
		}
	}
	return nil
}

// narrower reports whether each packet that a rule of shape s is for is one that
// other is for, too. False says nothing.
func (s *shape) narrower(other *shape) bool {
	if other.odd || len(other.doubts) > 0 || !other.simple() {
		return false
	}
	for _, m := range other.matches {
		if !slices.ContainsFunc(s.matches, func(own *ruleset.Match) bool { return inside(own, m) }) {
			return false
		}
	}
	return true
}

// inside reports whether match a holds only where b does.
func inside(a, b *ruleset.Match) bool {
	if !slices.Equal(a.Fields, b.Fields) || a.Negate != b.Negate {
		return false
	}
	if a.Set == b.Set && a.Set != nil {
		return string(a.Mask) == string(b.Mask)
	}
	if b.Negate { // the one that leaves more out is inside
		a, b = b, a
	}
	wide, mask, ok := spans(b)
	if !ok {
		return false
	}
	narrow, own, ok := spans(a)
	if !ok || string(mask) != string(own) {
		return false
	}
	sizes := make([]int, len(a.Fields))
	for i, f := range a.Fields {
		sizes[i] = f.Size()
	}
	for _, r := range narrow {
		if !slices.ContainsFunc(wide, func(w ruleset.Range) bool {
			return within(w, r.From, sizes) && within(w, r.To, sizes)
		}) {
			return false
		}
	}
	return len(narrow) > 0
}

// spans are the values of a match that stand in the rule itself. A network's mask
// is made a range of.
func spans(m *ruleset.Match) (list []ruleset.Range, mask []byte, ok bool) {
	switch {
	case m.Set == nil:
		list = m.Ranges
	case m.Set.Anonymous:
		for i := range m.Set.Elements {
			list = append(list, m.Set.Elements[i].Range)
		}
	default:
		return nil, nil, false
	}
	if _, prefix := prefixBits(m.Mask); len(m.Mask) == 0 || !prefix {
		return list, m.Mask, true
	}
	out := make([]ruleset.Range, len(list))
	for i, r := range list {
		if len(r.To) != len(m.Mask) || !bytes.Equal(r.From, r.To) {
			return list, m.Mask, true
		}
		out[i] = ruleset.Range{From: r.From, To: slices.Clone(r.To)}
		for j := range out[i].To {
			out[i].To[j] |= ^m.Mask[j]
		}
	}
	return out, nil, true
}
