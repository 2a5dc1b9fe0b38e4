package diagnose

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// passage is a packet at a place that drops it.
type passage struct {
	rulesets []*ruleset.Ruleset
	settled  map[*ruleset.Rule]bool // see diagnosis
	hook     replay.Hook
	packet   replay.Packet
	place    replay.Place
}

// maxFixes bounds the base chains that one fix may have to open.
const maxFixes = 4

func dropped(v replay.Verdict) bool { return v == replay.Dropped || v == replay.Rejected }

// fix is the command that lets the packet through by accepting s, "" where none
// is proven.
func (d *diagnosis) fix(s spec) string {
	if d.f.HasFragment && (s.dport != 0 || s.hasICMPType) {
		return "" // the other fragments have no port to be known by
	}
	commands, ok := d.opened(&passage{d.c.Rulesets, d.settled, d.c.Hook, d.c.Packet, d.c.Place}, s)
	if !ok {
		return ""
	}
	return strings.Join(append(commands, d.discovery()...), " && ")
}

// opened are the commands that let a packet pass all that is known to drop it,
// from a place on. An accept ends only its own base chain, so that others of the
// hook, and of the hooks behind it, may have to be opened, too.
func (d *diagnosis) opened(at *passage, s spec) (commands []string, ok bool) {
	for range maxFixes {
		next, more := d.open(at, &s)
		if more == nil {
			return nil, false
		}
		commands = append(commands, more...)
		if next == nil {
			return commands, true
		}
		if next.hook.Name != at.hook.Name {
			f := readFacts(&next.packet)
			if s, ok = specOf(&f, next.hook.Name); !ok {
				return nil, false
			}
		}
		at = next
	}
	return nil, false
}

// open are the commands for one base chain, and where the packet is dropped next,
// if it is.
func (d *diagnosis) open(at *passage, s *spec) (next *passage, commands []string) {
	for _, site := range d.sites(at.place) {
		commands := d.c.Namespace.all(site.commands(s))
		if commands == nil {
			continue
		}
		e := insert(at.rulesets, at.settled, site.chain, site.index, s.rule(site.chain))
		r := replay.At(e.rulesets, at.hook, &at.packet, d.c.Environment, replay.Options{})
		switch {
		case r.Verdict == replay.Accepted:
			return d.behind(at.hook, &r.After), commands
		case dropped(r.Verdict) && r.Last.Base != nil && e.now(at.place.Base) != r.Last.Base:
			return &passage{e.rulesets, at.settled, at.hook, at.packet, r.Last}, commands
		}
	}
	return nil, nil
}

// behind is the next place on the packet's way that drops it for certain; nil
// where none is known to.
func (d *diagnosis) behind(h replay.Hook, p *replay.Packet) *passage {
	packet := *p
	for d.onward(&h, &packet) {
		r := replay.At(d.c.Rulesets, h, &packet, d.c.Environment, replay.Options{})
		if dropped(r.Verdict) && r.Last.Base != nil {
			return &passage{rulesets: d.c.Rulesets, hook: h, packet: packet, place: r.Last}
		}
		if r.Verdict != replay.Accepted {
			return nil
		}
		packet = r.After
	}
	return nil
}

// onward moves a packet to the hook that it comes to next; false behind the last
// one, and where the way is not known.
func (d *diagnosis) onward(h *replay.Hook, p *replay.Packet) bool {
	if h.Family != "ip" && h.Family != "ip6" {
		return false
	}
	switch h.Name {
	case "forward", "output":
		h.Name = "postrouting"
		return true
	case "prerouting":
	default:
		return false
	}
	f := readFacts(p)
	if d.c.Machine == nil || !f.ip() || f.in == "" {
		return false
	}
	local, ok := d.c.Machine.Local(f.Destination)
	switch {
	case !ok || !local && !f.Destination.IsGlobalUnicast():
		return false
	case local:
		h.Name = "input"
		return true
	}
	r, ok := d.c.Machine.RouteTo(f.Destination)
	if !ok || r.Device == "" {
		return false
	}
	h.Name, p.Out = "forward", replay.Interface{Known: true, Name: r.Device}
	return true
}
