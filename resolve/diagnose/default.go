package diagnose

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/droptrace/droptrace/resolve/ruleset"
)

// nothingAccepts is the default: no rule is about the packet.
func (d *diagnosis) nothingAccepts() []Why {
	if d.inConnection() {
		return nil
	}
	s, ok := specOf(&d.f, d.c.Hook.Name)
	if !ok {
		return nil
	}
	place := d.c.Place
	w, wanted := Why{Code: PolicyDrop}, true
	then := fmt.Sprintf("no rule of %s accepts %s from %s, and %s drops the rest",
		place.Base.Name, d.f.service(), d.f.Source, d.placeName(place))
	switch d.c.Hook.Name {
	case "forward":
		w = d.forwarded(&s, then)
	case "input":
		w.Message = then
		wanted = d.listening(&w)
	case "output":
		w.Message = fmt.Sprintf("no rule of %s accepts %s to %s, and %s drops the rest",
			place.Base.Name, d.f.service(), d.f.Destination, d.placeName(place))
	default:
		w.Message = then
	}
	w.Message += d.nearest()
	if wanted {
		w.Fix = d.fix(s)
	}
	return []Why{w}
}

// listening tells whether somebody would have taken the packet. What nobody
// waits for, as most of what the internet sends, needs no way in: wanted is
// false.
func (d *diagnosis) listening(w *Why) (wanted bool) {
	if d.c.Machine == nil || !d.f.HasPorts {
		return true
	}
	list, ok := d.c.Machine.Listeners(d.f.Protocol.String(), d.f.DestinationPort)
	if !ok {
		return true
	}
	for _, l := range list {
		if l.takes(d.f.Destination) {
			w.Code = ListeningNotAllowed
			w.Message = fmt.Sprintf("%s listens on %s, but no rule of %s accepts it from %s: %s drops it",
				l.who(), d.f.service(), d.c.Place.Base.Name, d.f.Source, d.placeName(d.c.Place))
			return true
		}
	}
	if len(list) == 0 {
		w.Message += "; nothing listens on " + d.f.service() + " here either"
	}
	return len(list) > 0
}

func (l *Listener) takes(to netip.Addr) bool {
	return !l.Address.IsValid() || l.Address.IsUnspecified() || l.Address.Unmap() == to
}

func (l *Listener) who() string {
	switch {
	case l.Command != "" && l.PID != 0:
		return l.Command + " (pid " + strconv.Itoa(l.PID) + ")"
	case l.Command != "":
		return l.Command
	}
	return "a program"
}

// nearest names a rule that accepts another port or protocol, where there is
// just one.
func (d *diagnosis) nearest() string {
	var found []miss
	for _, m := range d.misses() {
		s := shapeOf(m.accept)
		if m.accept == m.rule && s.anchored() && looksAt(m.match, ruleset.DestinationPort, ruleset.L4Protocol) && m.match.Set == nil {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return ""
	}
	m := found[0]
	if looksAt(m.match, ruleset.L4Protocol) {
		if text := matchText(m.match); text != "" {
			return fmt.Sprintf("; nearest is %s, for %s instead of %s", d.ruleName(m.rule), text, d.f.Protocol)
		}
		return ""
	}
	return fmt.Sprintf("; nearest is %s, for port %s", d.ruleName(m.rule), matchText(m.match))
}
