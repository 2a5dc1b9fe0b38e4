package diagnose

import (
	"fmt"
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// acceptBelow finds the accept that the packet would have come to, had the drop
// not stood before it.
func (d *diagnosis) acceptBelow() []drop.Why {
	by := d.dropper()
	if by.rule == nil {
		return nil
	}
	e := d.without(by.rule)
	below := d.acceptedBy(e.rulesets, e.now(d.c.Place.Base), &d.c.Packet)
	if below == nil {
		return nil
	}
	below = e.known(below)
	w := drop.Why{Code: drop.WhyAcceptBelowDrop, Message: fmt.Sprintf("%s would accept it, but stands below %s",
		d.ruleName(below), d.placeName(d.c.Place))}
	if m := stateMatchOf(below); m != nil && d.inConnection() {
		if !by.shape.broad() && !d.answers(&by.shape) {
			return nil
		}
		w.Code = drop.WhyEstablishedBelowDrop
		w.Message = fmt.Sprintf("it belongs to an open connection, and %s, which accepts those, stands below %s",
			d.ruleName(below), d.placeName(d.c.Place))
	} else if s := shapeOf(below); !s.narrower(&by.shape) && (!by.shape.broad() || len(s.conditions) == 0) {
		// The drop is an exception from what is accepted below it.
		return nil
	} else if !s.narrower(&by.shape) && !s.anchored() {
		if own, ok := specOf(&d.f, d.c.Hook.Name); ok {
			w.Fix = d.fix(own) // the whole rule would undo the drop
		}
		return []drop.Why{w}
	}
	w.Fix = d.moved(below)
	return []drop.Why{w}
}

// answers reports whether the packet is an answer or an error that a drop takes by
// its service, which is that of the other side.
func (d *diagnosis) answers(by *shape) bool {
	ct := &d.c.Packet.Conntrack
	if len(by.doubts) > 0 || by.odd || ct.State == ruleset.CTEstablished && (!ct.Entry || ct.Direction != 1) {
		return false
	}
	for _, m := range by.matches {
		if m.Set != nil && !m.Set.Anonymous || networkField(m) && !looksAt(m, ruleset.IPProtocol) {
			return false
		}
	}
	return true
}

// moved is the command for a copy of a rule in front of the drop. The copy keeps
// all that the rule asks; what leads to the rule must lead to the copy, too.
func (d *diagnosis) moved(r *ruleset.Rule) string {
	switch ownerOf(d.c.Place.Chain, d.c.Place.Rule) {
	case "", Docker, Libvirt, Podman:
	default:
		if s, ok := specOf(&d.f, d.c.Hook.Name); ok {
			return d.fix(s)
		}
		return ""
	}
	index, ok := d.jumpIn(r.Chain)
	if !ok {
		return ""
	}
	if stateMatchOf(r) == nil && refuses(r.Chain.Rules, index+1, slices.Index(r.Chain.Rules, r)) {
		s, ok := d.specLike(miss{rule: r, accept: r})
		if !ok || d.c.Hook.Name == "output" {
			return ""
		}
		s.src = d.f.Source
		return d.fix(s)
	}
	copied := *r
	e := d.inserted(d.c.Rulesets, r.Chain, index, &copied)
	if !d.accepts(e.rulesets, &d.c.Packet) {
		return ""
	}
	d.then = e.rulesets
	return d.c.Namespace.in(d.again(r, func(args []string) string {
		return d.iptablesInsert(r.Chain, index, args)
	}, func(statement string) string {
		return d.nftInsert(r.Chain, index, statement)
	}))
}

// refuses reports whether any of the rules from one index up to another may end a
// packet's way: an accept that is moved past it would undo it for others.
func refuses(rules []*ruleset.Rule, from, to int) bool {
	for i := from; i < to && i < len(rules); i++ {
		s := shapeOf(rules[i])
		if s.odd || s.verdict != nil && !s.is(ruleset.Accept, ruleset.Continue) {
			return true
		}
	}
	return false
}
