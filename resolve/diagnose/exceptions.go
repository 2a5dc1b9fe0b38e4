package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// exceptions are the negated matches of a drop: what the rule leaves alone. The one
// that is easiest to change comes first. nil where one of them does not hold for
// this packet, so that it is not the one that met the rule.
func (d *diagnosis) exceptions(s *shape) []*ruleset.Match {
	var out []*ruleset.Match
	for _, m := range s.matches {
		if !m.Negate {
			continue
		}
		if d.match(m) == replay.No {
			return nil
		}
		only := *m
		only.Negate = false
		out = append(out, &only)
	}
	slices.SortStableFunc(out, func(a, b *ruleset.Match) int { return cmp.Compare(effort(a), effort(b)) })
	return out
}

// effort ranks what it takes to meet an exception: a member of a set, an address, an
// interface, all else.
func effort(m *ruleset.Match) int {
	switch {
	case m.Set != nil && !m.Set.Anonymous:
		return 0
	case looksAt(m, ruleset.IPSource, ruleset.IP6Source):
		return 1
	case looksAt(m, ruleset.IPDestination, ruleset.IP6Destination):
		return 2
	case looksAt(m, ruleset.InName, ruleset.InIndex, ruleset.OutName, ruleset.OutIndex):
		return 3
	}
	return 4
}

// several tells a drop with more than one exception: any of them would have spared
// the packet.
func (d *diagnosis) several(by dropper, exceptions []*ruleset.Match) []drop.Why {
	var spared, has []string
	code := ""
	for _, m := range exceptions {
		s, h, c := d.spares(m)
		if s == "" {
			continue
		}
		spared = append(spared, s)
		if h != "" {
			has = append(has, h)
		}
		code = cmp.Or(code, c)
	}
	if len(spared) == 0 || len(has) == 0 {
		return nil
	}
	w := drop.Why{Code: cmp.Or(code, drop.WhyRuleMatches), Message: fmt.Sprintf("%s spares only what %s, and it %s",
		d.ruleName(by.rule), strings.Join(spared, " or "), strings.Join(has, ", "))}
	if d.inConnection() {
		w.Message = d.connection() + ", but " + w.Message
	}
	if by.shape.anchored() && !d.inConnection() && d.accepts(d.without(by.rule).rulesets, &d.c.Packet) {
		w.Fix = d.spare(exceptions[0])
	}
	return []drop.Why{w}
}

// spares says what an exception asks for, and what the packet has instead.
func (d *diagnosis) spares(m *ruleset.Match) (asks, has, code string) {
	text := matchText(m)
	if m.Set != nil && !m.Set.Anonymous {
		if element, ok := d.memberText(m); ok {
			return "is in the set " + m.Set.Name, "is not (" + element + ")", drop.WhySetMember
		}
		return "", "", ""
	}
	if len(m.Fields) != 1 || text == "" {
		return "", "", ""
	}
	switch m.Fields[0] {
	case ruleset.IPSource, ruleset.IP6Source:
		return "comes from " + text, "came from " + d.f.Source.String(), drop.WhySourceTooNarrow
	case ruleset.IPDestination, ruleset.IP6Destination:
		return "goes to " + text, "goes to " + d.f.Destination.String(), drop.WhyDestinationTooNarrow
	case ruleset.InName, ruleset.InIndex:
		return "comes in by " + text, "came in by " + orNone(d.f.in), drop.WhyInterfaceMismatch
	case ruleset.OutName, ruleset.OutIndex:
		return "goes out by " + text, "goes out by " + orNone(d.f.out), drop.WhyInterfaceMismatch
	}
	if m.Text == "" {
		return "", "", ""
	}
	return "matches " + strings.Replace(m.Text, "! ", "", 1), "", ""
}
