package diagnose

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// marked reports a drop by the packet's mark: what the packet was dropped for was
// decided where the mark was set.
func (d *diagnosis) marked() []drop.Why {
	by := d.dropper()
	if by.rule == nil {
		return nil
	}
	var m *ruleset.Match
	for _, match := range by.shape.matches {
		if slices.Equal(match.Fields, []ruleset.Field{ruleset.Mark}) && match.Set == nil {
			m = match
		}
	}
	if m == nil {
		return nil
	}
	setters := d.setters(m)
	if m.Negate {
		return d.unmarked(by.with(m), m, setters)
	}
	var sure []replay.Step
	for _, s := range setters {
		switch {
		case s.Truth == replay.No:
		case s.Truth == replay.Yes && s.Reached == replay.Yes:
			sure = append(sure, s)
		default:
			return nil // this one may have been it as well
		}
	}
	if len(sure) != 1 {
		return nil
	}
	w := drop.Why{Code: drop.WhyMarked, Message: fmt.Sprintf("%s drops what has the mark %s, and %s sets it on this packet",
		d.ruleName(by.with(m)), maskedText(m), d.ruleName(sure[0].Rule))}
	s := shapeOf(sure[0].Rule)
	if text := textsOf(&s); text != "" {
		w.Message += ", as on all that matches " + text
	}
	return []drop.Why{w}
}

// unmarked is for a rule that drops what lacks a mark.
func (d *diagnosis) unmarked(by *ruleset.Rule, m *ruleset.Match, setters []replay.Step) []drop.Why {
	if len(setters) != 1 || setters[0].Truth != replay.No || d.marksOtherwise(m, setters[0].Rule) {
		return nil
	}
	setter := setters[0].Rule
	s := shapeOf(setter)
	w := drop.Why{Code: drop.WhyMarked, Message: fmt.Sprintf("%s drops what lacks the mark %s, and only %s sets that one",
		d.ruleName(by), maskedText(m), d.ruleName(setter))}
	if text := textsOf(&s); text != "" {
		w.Message += ", on what matches " + text + ", which this does not"
	}
	return []drop.Why{w}
}

// marksOtherwise reports whether a rule but one may set a mark for which the match
// holds.
func (d *diagnosis) marksOtherwise(m *ruleset.Match, but *ruleset.Rule) bool {
	for r := range d.rules() {
		if r == but {
			continue
		}
		if !r.Read || sets(r, m) || slices.ContainsFunc(r.Statements, func(s ruleset.Statement) bool {
			a, ok := s.(*ruleset.Assign)
			return ok && a.Field == ruleset.Mark && (!a.Known || a.From != 0)
		}) {
			return true
		}
	}
	return false
}

// setters are the rules at the drop's hook and those before it that set a mark for
// which the match holds, negated or not, with what became of them for this packet.
func (d *diagnosis) setters(m *ruleset.Match) []replay.Step {
	var out []replay.Step
	add := func(r *replay.Result) {
		for _, s := range r.Steps {
			if s.Rule != nil && s.Rule == d.c.Place.Rule {
				return
			}
			if s.Rule != nil && sets(s.Rule, m) {
				out = append(out, s)
			}
		}
	}
	for _, name := range hooksBefore(d.c.Hook.Name, d.f.in) {
		p, ok := d.arrived(name)
		if !ok {
			return nil
		}
		h := replay.Hook{Family: d.c.Hook.Family, Name: name}
		add(replay.At(d.c.Rulesets, h, &p, d.c.Environment, replay.Options{Steps: true}))
	}
	add(d.result)
	return out
}

// hooksBefore are those that a packet passed on its way to a hook.
func hooksBefore(hook, in string) []string {
	switch hook {
	case "input", "forward":
		return []string{"prerouting"}
	case "postrouting":
		if in == "" {
			return []string{"output"}
		}
		return []string{"prerouting", "forward"}
	}
	return nil
}

// arrived is the packet as it came to an earlier hook: with the addresses that it has
// on its side of the translation, and a mark that nobody knows.
func (d *diagnosis) arrived(hook string) (replay.Packet, bool) {
	p := d.raw
	p.MarkKnown, p.Mark = false, 0
	if hook == "prerouting" {
		p.Out = replay.Interface{Known: true}
		if c := &p.Conntrack; c.Entry && d.f.HasPorts {
			to, port := c.Original.Destination, c.Original.DestinationPort
			if c.Direction == 1 {
				to, port = c.Reply.Destination, c.Reply.DestinationPort
			}
			a, ok := netip.AddrFromSlice(to)
			if !ok {
				return p, false
			}
			return withDestination(&p, a, port)
		}
	}
	return p, true
}

// sets reports whether a rule gives the packet a mark for which the match, were it not
// negated, holds whatever the mark was before.
func sets(r *ruleset.Rule, m *ruleset.Match) bool {
	for _, st := range r.Statements {
		a, ok := st.(*ruleset.Assign)
		if !ok || a.Field != ruleset.Mark || !a.Known || a.From != 0 || len(a.Value) != 4 {
			continue
		}
		looks := uint32(0xffffffff)
		if len(m.Mask) == 4 {
			looks = binary.BigEndian.Uint32(m.Mask)
		}
		if len(a.Mask) == 4 && binary.BigEndian.Uint32(a.Mask)&looks != 0 {
			continue // a part of the old mark stays in what is looked at
		}
		value := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(a.Value)&looks)
		if slices.ContainsFunc(m.Ranges, func(r ruleset.Range) bool { return between(r, value) }) {
			return true
		}
	}
	return false
}

// maskedText is a mark as iptables writes it.
func maskedText(m *ruleset.Match) string {
	if len(m.Ranges) != 1 || len(m.Ranges[0].From) != 4 || string(m.Ranges[0].From) != string(m.Ranges[0].To) {
		return matchText(m)
	}
	text := fmt.Sprintf("%#x", binary.BigEndian.Uint32(m.Ranges[0].From))
	if len(m.Mask) == 4 && binary.BigEndian.Uint32(m.Mask) != 0xffffffff {
		text += fmt.Sprintf("/%#x", binary.BigEndian.Uint32(m.Mask))
	}
	return text
}

// textsOf is what a rule matches, in its own words.
func textsOf(s *shape) string {
	var texts []string
	for _, m := range s.matches {
		if m.Text != "" && !m.Implied && !slices.Contains(texts, m.Text) {
			texts = append(texts, m.Text)
		}
	}
	return strings.Join(texts, " ")
}
