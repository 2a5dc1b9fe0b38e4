package replay

import (
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Before is the packet as it entered a hook, given as it was when it was dropped
// there: what the hook's own rules and NAT may have changed on the way is not
// known.
func (f *Firewall) Before(h Hook, p Packet) Packet {
	var e effects
	seen := make(map[*chain]bool)
	for _, c := range f.bases {
		if c.at(h) {
			e.chain(c, seen)
		}
	}
	why := "rules before may have changed it"
	if e.mark {
		p.MarkKnown = false
	}
	k := carried{unknown: p.kept.unknown, set: p.kept.set, states: p.kept.states}
	for field := range e.fields {
		k.set = append(k.set[:len(k.set):len(k.set)], assignment{field, notKnown(why)})
	}
	if f.translates(h, &p) {
		k.unknown = append(k.unknown[:len(k.unknown):len(k.unknown)], rewritten(h, &p)...)
	}
	if e.packet {
		k.unknown = []region{{0, 1 << 16}}
	}
	if p.Conntrack.State == ruleset.CTUntracked {
		p.Conntrack = Conntrack{} // a rule of this hook may have made it so
	}
	p.kept = k
	return p
}

// translates reports whether NAT may have changed the packet at this hook before
// it was dropped: it has a translation, and base chains stand behind NAT.
func (f *Firewall) translates(h Hook, p *Packet) bool {
	if h.Name == "forward" || !p.Conntrack.Entry || p.Conntrack.Status&(netfilter.StatusSNAT|netfilter.StatusDNAT) == 0 {
		return false
	}
	for _, c := range f.bases {
		if c.at(h) && c.src.Type != "nat" && c.src.Priority >= natPriority(h.Name) {
			return true
		}
	}
	return false
}

// rewritten are the bytes that NAT changes at a hook: one side's address and port,
// and checksums.
func rewritten(h Hook, p *Packet) []region {
	source := changesSource(h.Name)
	at := addressAt(h.Family, source)
	out := []region{{at, at + addressSize(h.Family)}}
	if h.Family == "ip" {
		out = append(out, region{10, 12})
	}
	l := layoutOf(p)
	if l.l4 != Present {
		return append(out, region{20, 1 << 16})
	}
	port := l.transport
	if !source {
		port += 2
	}
	return append(out, region{port, port + 2}, region{l.transport + 6, l.transport + 8}, region{l.transport + 16, l.transport + 18})
}

// effects are what rules may change of a packet.
type effects struct {
	mark, packet bool
	fields       map[ruleset.Field]bool
}

func (e *effects) chain(c *chain, seen map[*chain]bool) {
	if seen[c] || !c.changes {
		return
	}
	seen[c] = true
	for i := range c.rules {
		x := &c.rules[i]
		if !x.read {
			e.anything()
		}
		for j := range x.rest {
			e.step(&x.rest[j], seen)
		}
	}
}

func (e *effects) anything() {
	e.mark, e.packet = true, true
	e.field(ruleset.CTMark)
}

func (e *effects) field(f ruleset.Field) {
	if e.fields == nil {
		e.fields = make(map[ruleset.Field]bool)
	}
	e.fields[f] = true
}

func (e *effects) step(p *step, seen map[*chain]bool) {
	switch s := p.src.(type) {
	case *ruleset.Assign:
		if _, _, _, payload := s.Field.IsPayload(); payload {
			e.packet = true
		} else if s.Field == ruleset.Mark {
			e.mark = true
		} else {
			e.field(s.Field)
		}
	case *ruleset.NAT:
		// Whether it was its rule that translated, the entry's status tells.
	case *ruleset.Opaque:
		if !s.Understood {
			e.anything()
		}
	}
	if p.target != nil {
		e.chain(p.target, seen)
	}
	for _, t := range p.targets {
		e.chain(t, seen)
	}
}
