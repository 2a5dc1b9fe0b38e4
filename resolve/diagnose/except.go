package diagnose

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// excepted tells a whitelist that is written as a drop: the rule drops what is not
// from a source, to a destination, by an interface or in a set.
func (d *diagnosis) excepted() []drop.Why {
	by := d.dropper()
	s := &by.shape
	if by.rule == nil || s.odd || len(s.doubts) > 0 || !d.f.ip() {
		return nil
	}
	exceptions := d.exceptions(s)
	switch len(exceptions) {
	case 0:
		return nil
	case 1:
	default:
		return d.several(by, exceptions)
	}
	only := *exceptions[0]
	w, ok := d.exception(&only, d.ruleName(by.with(exceptions[0])))
	if !ok {
		return nil
	}
	// A rule about all that an interface takes in is there against forged sources.
	if s.anchored() && d.accepts(d.without(by.rule).rulesets, &d.c.Packet) {
		w.Fix = d.spare(&only)
	}
	return []drop.Why{w}
}

// spare is the command that has the rule spare the packet: by the set that it asks,
// where no other rule does, else by a rule before it.
func (d *diagnosis) spare(only *ruleset.Match) string {
	if set := only.Set; set != nil && !set.Anonymous && !set.Dynamic && !set.Holes && d.onlyUser(set) {
		if element, ok := d.memberText(only); ok {
			return d.setCommand(only, "add", element)
		}
	}
	own, ok := specOf(&d.f, d.c.Hook.Name)
	if !ok {
		return ""
	}
	return d.fix(own)
}

// exception tells what the rule leaves out, and what the packet has instead.
func (d *diagnosis) exception(only *ruleset.Match, name string) (drop.Why, bool) {
	text := matchText(only)
	if text == "" {
		return drop.Why{}, false
	}
	if only.Set != nil && !only.Set.Anonymous {
		element, ok := d.memberText(only)
		return drop.Why{Code: drop.WhySetMember, Message: fmt.Sprintf(
			"%s drops what is not in the set %s, and %s is not", name, only.Set.Name, element)}, ok
	}
	if len(only.Fields) != 1 {
		return drop.Why{}, false
	}
	switch only.Fields[0] {
	case ruleset.IPSource, ruleset.IP6Source:
		return drop.Why{Code: drop.WhySourceTooNarrow, Message: fmt.Sprintf(
			"%s drops what does not come from %s, and it came from %s", name, text, d.f.Source)}, true
	case ruleset.IPDestination, ruleset.IP6Destination:
		return drop.Why{Code: drop.WhyDestinationTooNarrow, Message: fmt.Sprintf(
			"%s drops what does not go to %s, and it goes to %s", name, text, d.f.Destination)}, true
	case ruleset.InName, ruleset.InIndex:
		return drop.Why{Code: drop.WhyInterfaceMismatch, Message: fmt.Sprintf(
			"%s drops what does not come in by %s, and it came in by %s", name, text, orNone(d.f.in))}, true
	case ruleset.OutName, ruleset.OutIndex:
		return drop.Why{Code: drop.WhyInterfaceMismatch, Message: fmt.Sprintf(
			"%s drops what does not go out by %s, and it goes out by %s", name, text, orNone(d.f.out))}, true
	}
	return drop.Why{}, false
}

// memberText is what the packet would be as a member of the match's set.
func (d *diagnosis) memberText(m *ruleset.Match) (string, bool) {
	value, ok := d.value(m.Fields)
	if !ok || len(m.Mask) > 0 {
		return "", false
	}
	return elementText(m.Fields, ruleset.Range{From: value, To: value}, separator(m.Set))
}

// forged tells a rule that drops what no route leads back to by the interface it
// came by: nft's `fib saddr . iif oif missing`. That it held is the kernel's word: it
// dropped the packet.
func (d *diagnosis) forged() []drop.Why {
	by := d.dropper()
	if by.rule == nil || by.shape.odd || len(by.shape.doubts) > 0 || d.c.Machine == nil {
		return nil
	}
	for _, m := range by.shape.matches {
		key, result, ok := m.Fields[0].IsFIB()
		if !ok || key&ruleset.FIBSource == 0 || key&ruleset.FIBIn == 0 || result == ruleset.FIBType {
			continue
		}
		back, known := d.c.Machine.RouteTo(d.f.Source)
		switch {
		case !known || back.Device == d.f.in:
			return nil
		case back.Device == "":
			return []drop.Why{{Code: drop.WhyReversePath, Message: fmt.Sprintf(
				"%s drops what no route leads back to, and there is none to its source %s", d.ruleName(by.rule), d.f.Source)}}
		}
		return []drop.Why{{Code: drop.WhyReversePath, Message: fmt.Sprintf(
			"%s drops what comes in by another interface than answers leave by: it came in by %s, and answers to its source %s leave by %s",
			d.ruleName(by.rule), orNone(d.f.in), d.f.Source, back.Device)}}
	}
	return nil
}
