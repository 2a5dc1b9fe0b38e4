package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// nothingAccepts is the default: no rule is about the packet.
func (d *diagnosis) nothingAccepts() []drop.Why {
	if d.inConnection() {
		return nil
	}
	s, ok := specOf(&d.f, d.c.Hook.Name)
	if !ok {
		return nil
	}
	place, rest := d.c.Place, d.rest()
	w, wanted := drop.Why{Code: drop.WhyPolicyDrop}, true
	then := fmt.Sprintf("no rule of %s accepts %s from %s, and %s",
		place.Base.Name, d.f.service(), d.f.Source, rest)
	switch d.c.Hook.Name {
	case "forward":
		w = d.forwarded(&s, then)
	case "input":
		w.Message = then
		wanted = d.listening(&w)
	case "output":
		w.Message = fmt.Sprintf("no rule of %s accepts %s to %s, and %s",
			place.Base.Name, d.f.service(), d.f.Destination, rest)
		if len(d.discovery()) > 0 {
			w.Message += "; it finds no IPv6 neighbour either"
		}
	default:
		w.Message = then
	}
	if d.f.HasFragment {
		w.Message += "; it is the first fragment of a larger packet, and a rule with a port holds for no other"
	}
	if r, text := d.inDoubt(); r != nil {
		w.Message += fmt.Sprintf("; %s accepts it only with %s, which did not hold", d.ruleName(r), text)
		wanted = false
	} else if m := d.leftOut(); m != nil {
		w.Message += fmt.Sprintf("; %s accepts only ports that are %s", d.ruleName(m.rule), matchText(m.match))
		wanted = false
	} else {
		w.Message += d.nearest()
	}
	if wanted {
		w.Fix = d.fix(s)
	}
	return []drop.Why{w}
}

// listening tells whether somebody would have taken the packet. What nobody
// waits for, as most of what the internet sends, needs no way in: wanted is
// false.
func (d *diagnosis) listening(w *drop.Why) (wanted bool) {
	if d.c.Machine == nil || !d.f.HasPorts {
		return true
	}
	list, ok := d.sockets()
	// DHCP's programs may read from packet sockets.
	if !ok || d.proxied() || len(list) == 0 && d.f.Source.IsUnspecified() {
		return true
	}
	list = waiting(list, d.f.HasTCP)
	var refused []string
	for i := range list {
		why := d.refusal(&list[i])
		if why == "" {
			w.Code = drop.WhyListeningNotAllowed
			w.Message = fmt.Sprintf("%s listens on %s, but no rule of %s accepts it from %s: %s drops it",
				list[i].who(), d.f.service(), d.c.Place.Base.Name, d.f.Source, d.placeName(d.c.Place))
			return true
		}
		refused = append(refused, list[i].who()+" "+why)
	}
	switch {
	case len(list) == 0:
		w.Message += "; nothing listens on " + d.f.service() + " here either"
	case len(refused) > 0:
		w.Message += "; no socket on " + d.f.service() + " would take it either: " + someOf(refused)
	}
	return len(list) > 0
}

func (l *Listener) takes(to netip.Addr) bool {
	return !l.Address.IsValid() || l.Address.IsUnspecified() || l.Address.Unmap() == to
}

func (l *Listener) who() string { return program(l.Command, l.PID) }

func program(command string, pid int) string {
	switch {
	case command != "" && pid != 0:
		return command + " (pid " + strconv.Itoa(pid) + ")"
	case command != "":
		return command
	}
	return "a program"
}

// wrongEnd reports whether a rule asks for the packet's destination port as source
// port.
func (d *diagnosis) wrongEnd(m miss) bool {
	if len(m.match.Fields) != 1 || m.match.Fields[0] != ruleset.SourcePort || !d.f.HasPorts {
		return false
	}
	list, mask, ok := spans(m.match)
	port := []byte{byte(d.f.DestinationPort >> 8), byte(d.f.DestinationPort)}
	return ok && mask == nil && slices.ContainsFunc(list, func(r ruleset.Range) bool { return between(r, port) })
}

// inDoubt is the accept for this service that asks for what cannot be told (the
// time, a program), and did not hold.
func (d *diagnosis) inDoubt() (*ruleset.Rule, string) {
	for i := range d.result.Steps {
		step := &d.result.Steps[i]
		if step.Base != d.c.Place.Base || step.Rule == nil || step.Truth != replay.Unknown || step.Reached != replay.Yes {
			continue
		}
		s := shapeOf(step.Rule)
		if !s.is(ruleset.Accept) || s.odd || !s.anchored() {
			continue
		}
		text := ""
		switch at := step.At.(type) {
		case *ruleset.Match:
			text = at.Text
		case *ruleset.Any:
			text = at.Text
		case *ruleset.Opaque:
			text = at.Text
		}
		s.conditions = slices.DeleteFunc(s.conditions, func(c ruleset.Statement) bool { return c == step.At })
		s.doubts = slices.DeleteFunc(s.doubts, func(o *ruleset.Opaque) bool { return o == step.At })
		if text != "" && len(s.doubts) == 0 && d.holds(&s) {
			return step.Rule, text
		}
	}
	return nil, ""
}

// leftOut is the accept that excludes the packet's port by name.
func (d *diagnosis) leftOut() *miss {
	for i, m := range d.misses() {
		if m.accept == m.rule && m.match.Negate && looksAt(m.match, ruleset.DestinationPort) {
			return &d.near[i]
		}
	}
	return nil
}

// nearest names the rule that nearly accepts the packet, but for another port,
// protocol or anything else that is no address, where there is just one.
func (d *diagnosis) nearest() string {
	var found []miss
	for _, m := range d.misses() {
		s := shapeOf(m.accept)
		switch {
		case m.accept != m.rule || m.match.Negate:
		case d.wrongEnd(m):
			return fmt.Sprintf("; nearest is %s, which asks for source port %s: a service has its port as destination port",
				d.ruleName(m.rule), matchText(m.match))
		case s.anchored():
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return ""
	}
	m := found[0]
	name, text := d.ruleName(m.rule), matchText(m.match)
	switch {
	case text == "":
		return ""
	case looksAt(m.match, ruleset.L4Protocol):
		return fmt.Sprintf("; nearest is %s, for %s instead of %s", name, text, d.f.Protocol)
	case !looksAt(m.match, ruleset.DestinationPort):
		if m.match.Text == "" {
			return ""
		}
		return fmt.Sprintf("; nearest is %s, which asks for %s", name, m.match.Text)
	case m.match.Set != nil && !m.match.Set.Anonymous:
		return fmt.Sprintf("; nearest is %s, for ports in %s", name, text)
	}
	return fmt.Sprintf("; nearest is %s, for port %s", name, text)
}
