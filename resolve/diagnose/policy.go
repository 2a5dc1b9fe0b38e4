package diagnose

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/packet"
)

// PolicyRouter is a [Machine] that knows which of the rules of `ip rule` decides where
// a packet goes.
type PolicyRouter interface {
	Policy(q *RouteQuery) (p Policy, ok bool)
}

// RouteQuery is a look-up of a route as the kernel makes it.
type RouteQuery struct {
	From, To                    netip.Addr
	Mark                        uint32
	In                          string // the interface that it came in by; lo for this host's own
	Protocol                    packet.Protocol
	SourcePort, DestinationPort uint16
}

// Policy is what the rules answered.
type Policy struct {
	// Special: there are other rules than those of every machine. Without it nothing
	// else is told.
	Special bool
	// Asked are the rules that are for the packet, up to the one that decides.
	Asked []PolicyRule
	// Found: the table of the last one has a route. Refuses: that rule itself is one
	// that leads nowhere.
	Found, Refuses bool
	Device         string // of the route
	Type           string // of a route that leads nowhere
}

// PolicyRule is a rule of `ip rule`.
type PolicyRule struct {
	Priority    int
	Text, Table string
}

func (r PolicyRule) String() string {
	return fmt.Sprintf("ip rule %d: %s lookup %s", r.Priority, r.Text, r.Table)
}

// last is the rule that decided.
func (p *Policy) last() PolicyRule { return p.Asked[len(p.Asked)-1] }

// policy asks the rules; nil where there are none but the usual, or it cannot be told.
func (d *diagnosis) policy(q *RouteQuery) *Policy {
	r, is := d.c.Machine.(PolicyRouter)
	if !is {
		return nil
	}
	p, ok := r.Policy(q)
	if !ok || !p.Special || len(p.Asked) == 0 {
		return nil
	}
	return &p
}

// forward is the look-up for the packet itself.
func (d *diagnosis) forward() *RouteQuery {
	q := &RouteQuery{From: d.f.Source, To: d.f.Destination, Mark: d.raw.Mark, In: d.f.in, Protocol: d.f.Protocol,
		SourcePort: d.f.SourcePort, DestinationPort: d.f.DestinationPort}
	if q.In == "" {
		q.In = "lo"
	}
	return q
}

// routedByPolicy is notRouted where `ip rule` has more than the usual rules.
func (d *diagnosis) routedByPolicy() []drop.Why {
	q := d.forward()
	p := d.policy(q)
	switch {
	case p == nil, p.Found && p.Type == "":
		return nil
	case p.Refuses:
		r := p.last()
		return []drop.Why{{Code: drop.WhyRouteRefuses, Message: fmt.Sprintf(
			"a rule of policy routing refuses it (ip rule %d: %s)", r.Priority, r.Text)}}
	case p.Type != "":
		return []drop.Why{{Code: drop.WhyRouteRefuses, Message: fmt.Sprintf(
			"the route to %s is of the type %s, in table %s (%s)", d.f.Destination, p.Type, p.last().Table, p.last())}}
	}
	var asked []string
	table := ""
	for _, r := range p.Asked {
		if r.Table == "local" {
			continue
		}
		if table == "" && r.Table != "main" && r.Table != "default" {
			table = r.Table
		}
		asked = append(asked, r.String())
	}
	if len(asked) == 0 {
		return nil
	}
	words := []string{"ip", "route", "add", d.f.Destination.String(), "via", "GATEWAY"}
	if table != "" {
		words = append(words, "table", table)
	}
	return []drop.Why{{Code: drop.WhyNoRoute, Message: fmt.Sprintf(
		"no table that is asked for it has a route to %s (%s); choose the GATEWAY that leads there", d.f.Destination, strings.Join(asked, "; ")),
		Fix: d.c.Namespace.in(d.shell(words...))}}
}

// reversedByPolicy is reversePath where `ip rule` has more than the usual rules. The
// kernel looks for the way back as for a packet of its own, from the destination to
// the source, without the mark unless src_valid_mark says so (__fib_validate_source).
func (d *diagnosis) reversedByPolicy(mode int) []drop.Why {
	if !d.f.Source.Is4() || d.f.in == "" {
		return nil
	}
	valid, ok := d.validMark()
	if !ok {
		return nil
	}
	back := &RouteQuery{From: d.f.Destination, To: d.f.Source, In: "lo", Protocol: d.f.Protocol,
		SourcePort: d.f.DestinationPort, DestinationPort: d.f.SourcePort}
	if valid {
		back.Mark = d.raw.Mark
	}
	p := d.policy(back)
	if p == nil || p.Refuses || p.Found && p.Type == "" && (p.Device == d.f.in || mode != 1) {
		return nil
	}
	w := drop.Why{Code: drop.WhyReversePath}
	if p.Found && p.Type == "" {
		w.Message = fmt.Sprintf("it came in by %s, but answers to its source %s leave by %s (%s), which strict rp_filter (1) does not allow",
			d.f.in, d.f.Source, p.Device, p.last())
		w.Fix = d.sysctl("net.ipv4.conf."+d.f.in+".rp_filter", "2")
	} else {
		w.Message = fmt.Sprintf("it came in by %s, and no rule of policy routing leads back to its source %s (%s)", d.f.in, d.f.Source, p.last())
	}
	if own := d.withMark(back, valid); own != nil {
		w.Message += fmt.Sprintf("; with its mark %#x they would leave by %s (%s), but rp_filter looks without the mark while net.ipv4.conf.%s.src_valid_mark is 0",
			d.raw.Mark, own.Device, own.last(), d.f.in)
		w.Fix = d.sysctl("net.ipv4.conf."+d.f.in+".src_valid_mark", "1")
	}
	return []drop.Why{w}
}

// withMark is the way back by the packet's mark, where that is the right one and is not
// looked at.
func (d *diagnosis) withMark(back *RouteQuery, valid bool) *Policy {
	if valid || d.raw.Mark == 0 {
		return nil
	}
	q := *back
	q.Mark = d.raw.Mark
	if p := d.policy(&q); p != nil && p.Found && p.Type == "" && p.Device == d.f.in {
		return p
	}
	return nil
}

// validMark reports whether rp_filter looks at marks (IN_DEV_SRC_VMARK).
func (d *diagnosis) validMark() (on, ok bool) {
	all, ok1 := d.number("net/ipv4/conf/all/src_valid_mark")
	own, ok2 := d.number("net/ipv4/conf/" + d.f.in + "/src_valid_mark")
	return all != 0 || own != 0, ok1 && ok2
}
