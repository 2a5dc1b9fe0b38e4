package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// established tells packets of open connections that nothing lets through.
func (d *diagnosis) established() []drop.Why {
	if !d.inConnection() && !d.underWay() {
		return nil
	}
	if w := d.acceptBelow(); len(w) > 0 && w[0].Code == drop.WhyEstablishedBelowDrop {
		return w
	}
	if !d.byDefault() {
		return nil
	}
	for _, r := range reachable(d.c.Place.Base) {
		if s := shapeOf(r); stateMatchOf(r) != nil && s.is(ruleset.Accept) && (d.state == 0 || d.stateHolds(&s)) {
			return d.establishedElsewhere() // there is one: it asks for something else
		}
		if acceptsState(r) {
			return nil
		}
	}
	s := spec{family: d.f.family(), established: true}
	w := drop.Why{Code: drop.WhyEstablishedNotAccepted, Message: fmt.Sprintf("%s, and no rule of %s accepts established,related before %s",
		d.connection(), d.c.Place.Base.Name, d.placeName(d.c.Place))}
	if r := d.establishedOnly(); r != nil {
		s.related = true
		w.Message = fmt.Sprintf("%s, and %s accepts established, but not related", d.connection(), d.ruleName(r))
	}
	w.Fix = d.fixFirst(s)
	return []drop.Why{w}
}

// establishedElsewhere tells the rule for open connections that is bound to another
// interface or address.
func (d *diagnosis) establishedElsewhere() []drop.Why {
	for _, m := range d.misses() {
		if m.accept != m.rule || stateMatchOf(m.rule) == nil {
			continue
		}
		w, ok := d.missed(m)
		if !ok {
			continue
		}
		if s, ok := d.like(m); ok && !m.match.Negate {
			s.established = true
			w.Fix = d.fixFirst(s)
		}
		return []drop.Why{w}
	}
	return nil
}

// strange tells packets from the middle of a TCP connection that conntrack takes for
// new (net.netfilter.nf_conntrack_tcp_loose), where those of one that it knows pass.
func (d *diagnosis) strange() []drop.Why {
	const later = packet.ACK | packet.RST | packet.FIN
	if d.state != ruleset.CTNew || !d.f.HasTCP || d.f.TCP.Flags&packet.SYN != 0 || d.f.TCP.Flags&later == 0 {
		return nil
	}
	p := d.c.Packet
	p.Conntrack.State = ruleset.CTEstablished
	if !d.accepts(d.c.Rulesets, &p) {
		return nil
	}
	return []drop.Why{{Code: drop.WhyConnectionUnknown, Message: fmt.Sprintf("its TCP flags (%s) are from the middle of a connection, and conntrack knows none: "+
		"idle for too long, begun before conntrack was, answered by another way, or a scan", strings.Join(d.f.TCP.Flags.Names(), ", "))}}
}

// underWay reports whether TCP's flags alone tell that others went before: where no
// rule asks for the state, conntrack gives none.
func (d *diagnosis) underWay() bool {
	const conntrack = -200 // NF_IP_PRI_CONNTRACK: before it nothing has a state
	base := d.c.Place.Base
	late := base.Hook == "input" || base.Hook == "forward" || base.Priority > conntrack
	return d.state == 0 && late && d.f.HasTCP && d.f.TCP.Flags&packet.ACK != 0
}

// connection tells what the packet is to its connection.
func (d *diagnosis) connection() string {
	ct := &d.c.Packet.Conntrack
	switch {
	case ct.State == 0:
		return "its TCP flags (" + strings.Join(d.f.TCP.Flags.Names(), ", ") + ") are not those that open a connection"
	case ct.State == ruleset.CTRelated && d.f.HasICMP && d.f.HasInner:
		return fmt.Sprintf("it is an ICMP error (type %d, code %d) about an open connection", d.f.ICMP.Type, d.f.ICMP.Code)
	case ct.State == ruleset.CTRelated:
		return "it opens a connection related to an open one"
	case ct.Entry && ct.Direction == 1:
		return "it is an answer of an open connection"
	}
	return "it is a packet of an open connection"
}

// establishedOnly is the rule that would accept a related packet, were it
// established; nil where there is none, or the packet is another one.
func (d *diagnosis) establishedOnly() *ruleset.Rule {
	if d.c.Packet.Conntrack.State != ruleset.CTRelated {
		return nil
	}
	return d.acceptedIn(ruleset.CTEstablished)
}

// acceptedIn is the rule that asks for a state and would accept the packet, had
// conntrack given it that one; nil where there is none.
func (d *diagnosis) acceptedIn(state uint32) *ruleset.Rule {
	p := d.c.Packet
	p.Conntrack.State = state
	r := d.acceptedBy(d.c.Rulesets, d.c.Place.Base, &p)
	if r == nil || stateMatchOf(r) == nil && !acceptsState(r) {
		return nil
	}
	return r
}

// fixFirst puts the rule at the head of the base chain, where rules for the
// state belong.
func (d *diagnosis) fixFirst(s spec) string {
	base := d.c.Place.Base
	switch ownerOf(d.c.Place.Chain, d.c.Place.Rule) {
	case "", Docker, Libvirt, Podman:
	default:
		return ""
	}
	p := d.c.Packet
	if p.Conntrack.State == 0 { // the rule has conntrack give one
		p.Conntrack.State = ruleset.CTEstablished
	}
	if !d.accepts(d.inserted(d.c.Rulesets, base, 0, s.rule(base)).rulesets, &p) {
		return ""
	}
	return d.c.Namespace.in(d.acceptCommand(base, 0, &s))
}

// inConnection reports whether conntrack knows the packet as one of an open
// connection, or related to one.
func (d *diagnosis) inConnection() bool {
	s := d.c.Packet.Conntrack.State
	return s == ruleset.CTEstablished || s == ruleset.CTRelated
}

// stateMatchOf is the rule's match on conntrack's state.
func stateMatchOf(r *ruleset.Rule) *ruleset.Match {
	s := shapeOf(r)
	return s.has(ruleset.CTState)
}

func (d *diagnosis) stateHolds(s *shape) bool {
	m := s.has(ruleset.CTState)
	return m != nil && d.match(m) == replay.Yes
}

// acceptsState reports whether the rule is a map from states to verdicts, as
// nft's `ct state vmap { established : accept }`.
func acceptsState(r *ruleset.Rule) bool {
	for _, s := range r.Statements {
		if m, ok := s.(*ruleset.VerdictMap); ok && slices.Contains(m.Fields, ruleset.CTState) {
			return true
		}
	}
	return false
}
