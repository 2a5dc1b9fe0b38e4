package replay

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// Guard holds a packet against one rule that is said to have dropped it. It looks
// only at what was the same when the rule saw the packet and when it was freed: the
// rule was the last to see it, so that the packet's own bytes, the hook and its
// interfaces are. A mark, a connection, the length of what is cut or put together
// later, routes, sockets, named sets and the link-layer header are not.
//
// It is used by one goroutine.
type Guard struct {
	run   run
	state state
	view  view
	rules map[*ruleset.Rule][]condition
}

// condition is a step that must hold before the rule can drop.
type condition struct {
	*match
	verdicts bool // a verdict map: its element has to drop, too
}

// Guard returns a Guard of the rules of f.
func (f *Firewall) Guard() *Guard {
	return &Guard{
		run:   run{f: f},
		view:  view{values: make([]value, len(f.fields))},
		rules: make(map[*ruleset.Rule][]condition),
	}
}

// Contradicts returns the step of a rule that does not hold for a packet that was
// dropped at the hook; nil where the rule can have dropped it, or it cannot be told.
func (g *Guard) Contradicts(h Hook, r *ruleset.Rule, p *Packet) ruleset.Statement {
	conditions, known := g.rules[r]
	if !known {
		conditions = g.run.f.conditions(r)
		g.rules[r] = conditions
	}
	if len(conditions) == 0 || !readable(p) {
		return nil
	}
	g.set(h, p)
	for _, c := range conditions {
		v := g.run.eval(&g.state, c.match)
		switch {
		case v.drops != No:
			return nil // the match itself drops: the steps behind it have no say
		case v.truth == No, v.truth == Yes && c.verdicts && goesOn(v.element):
			return c.src
		}
	}
	return nil
}

// set makes p the packet at hand, with nothing known but what cannot have changed.
func (g *Guard) set(h Hook, p *Packet) {
	clear(g.view.values)
	g.view.packet = Packet{
		EtherType: p.EtherType, Bytes: p.Bytes, In: p.In, Out: p.Out, PacketType: -1, UID: -1, GID: -1,
	}
	g.view.layout = layoutOf(&g.view.packet)
	g.state = state{view: &g.view, mark: notKnown(""), ct: anyState}
	g.run.hook = h
}

// readable: of other packets (a tag in the bytes, PPPoE) it depends on the kernel
// where its rules find the headers.
func readable(p *Packet) bool {
	return p.EtherType == etherIPv4 || p.EtherType == etherIPv6
}

// MayCall reports whether packets of a hook can come to a chain. A chain's family
// and hook stay as they are as long as it lives; jumps and devices do not.
func MayCall(c *ruleset.Chain, h Hook) bool {
	device := h.Name == "ingress" || h.Name == "egress"
	switch family := c.Table.Family; {
	case family == "inet":
		if h.Family != "ip" && h.Family != "ip6" && !device {
			return false
		}
	case family != h.Family:
		return false
	}
	return !c.IsBase() || c.Hook == h.Name
}

// goesOn reports whether an element of a verdict map lets the packet go on, to
// where another rule or policy is what may drop it.
func goesOn(e *ruleset.Element) bool {
	if e == nil || e.Verdict == nil {
		return false
	}
	switch e.Verdict.Kind {
	case ruleset.Accept, ruleset.Return, ruleset.Jump, ruleset.Goto:
		return true
	}
	return false
}

// conditions are the steps of a rule that can be held against a packet: none where
// the rule may have changed the packet itself.
func (f *Firewall) conditions(r *ruleset.Rule) []condition {
	c := f.chains[r.Chain]
	if c == nil || r.Number < 1 || r.Number > len(c.rules) {
		return nil
	}
	x := &c.rules[r.Number-1]
	if x.src != r || !x.read || x.writes() {
		return nil
	}
	var out []condition
	for i := range x.matches {
		if f.settled(&x.matches[i]) {
			out = append(out, condition{match: &x.matches[i]})
		}
	}
	for i := range x.rest {
		p := &x.rest[i]
		if o, ok := p.src.(*ruleset.Opaque); ok && o.MayDrop {
			break // the steps behind it have no say
		}
		if p.match == nil || !f.settled(p.match) {
			continue
		}
		_, verdicts := p.src.(*ruleset.VerdictMap)
		out = append(out, condition{p.match, verdicts})
	}
	return out
}

// writes reports whether the rule may change the packet's bytes.
func (x *rule) writes() bool {
	for i := range x.rest {
		switch s := x.rest[i].src.(type) {
		case *ruleset.Assign:
			_, _, _, payload := s.Field.IsPayload()
			if _, _, _, _, extension := s.Field.IsExtension(); payload || extension {
				return true
			}
		case *ruleset.NAT:
			return true
		case *ruleset.Opaque:
			if !s.Understood {
				return true
			}
		}
	}
	return false
}

// settled reports whether all that a match looks at cannot have changed.
func (f *Firewall) settled(m *match) bool {
	if m.header != nil {
		return true
	}
	if m.any != nil {
		for _, all := range m.any.of {
			for _, one := range all {
				if one == nil || !f.settled(one) {
					return false
				}
			}
		}
		return true
	}
	for _, slot := range m.slots {
		if !isSettled(f.fields[slot]) {
			return false
		}
	}
	switch s := m.src.(type) {
	case *ruleset.Match:
		return isConstant(s.Set)
	case *ruleset.VerdictMap:
		return isConstant(s.Set)
	}
	return false
}

// isConstant: an anonymous set is its rule's own and never changes.
func isConstant(s *ruleset.Set) bool {
	return s == nil || s.Anonymous && s.Complete && !s.Dynamic && s.IPSet == ""
}

func isSettled(f ruleset.Field) bool {
	if base, _, _, ok := f.IsPayload(); ok {
		return base == ruleset.Network || base == ruleset.Transport
	}
	if _, _, _, _, ok := f.IsExtension(); ok {
		return true
	}
	switch f {
	case ruleset.L4Protocol, ruleset.InName, ruleset.OutName, ruleset.InIndex, ruleset.OutIndex:
		return true
	}
	return false
}
