package diagnose

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// managers tells that somebody else's rules accept what was dropped: an accept
// ends only its own base chain, and all have to agree.
func (d *diagnosis) managers() []drop.Why {
	if !d.agrees {
		return nil
	}
	by := d.c.Place
	for _, other := range d.otherBases() {
		r := d.acceptsIn(other)
		if r == nil {
			continue
		}
		return []drop.Why{{Code: drop.WhyTwoManagers, Message: fmt.Sprintf("%s accepts it, but that ends only %s: %s is asked %s and drops it",
			d.ruleName(r), other.FullName(), by.Base.FullName(), order(by.Base, other))}}
	}
	return nil
}

// otherBases are the base chains of the hook that filter and are of another
// engine, owner or, where they run before the drop, table.
func (d *diagnosis) otherBases() []*ruleset.Chain {
	by := d.c.Place
	owner := tableOwner(by.Base.Table)
	var out []*ruleset.Chain
	for _, rs := range d.c.Rulesets {
		for _, t := range rs.Tables {
			if t.Family != d.c.Hook.Family && t.Family != "inet" {
				continue
			}
			for _, c := range t.Chains {
				if c == by.Base || c.Hook != by.Base.Hook || c.Type != "filter" && t.Name != "filter" {
					continue
				}
				if t.Engine != by.Base.Table.Engine || tableOwner(t) != owner || t != by.Base.Table && c.Priority < by.Base.Priority {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// acceptsIn is the rule about this packet with which a base chain, asked alone,
// accepts the packet.
func (d *diagnosis) acceptsIn(base *ruleset.Chain) *ruleset.Rule {
	table := *base.Table
	table.Chains = nil
	for _, c := range base.Table.Chains {
		if !c.IsBase() || c == base {
			table.Chains = append(table.Chains, c)
		}
	}
	r := d.acceptedBy([]*ruleset.Ruleset{{Tables: []*ruleset.Table{&table}}}, base, &d.c.Packet)
	if r == nil {
		return nil
	}
	if s := shapeOf(r); !s.anchored() && !s.specific() {
		return nil
	}
	return r
}

// specific reports whether a rule is for some hosts, interfaces or protocols, and so
// was written for packets like this one: not one for all, nor one for states.
func (s *shape) specific() bool {
	return s.has(ruleset.IPSource, ruleset.IP6Source, ruleset.IPDestination, ruleset.IP6Destination, ruleset.InName, ruleset.OutName,
		ruleset.InIndex, ruleset.OutIndex, ruleset.L4Protocol, ruleset.IPProtocol, ruleset.Mark) != nil
}

func order(a, b *ruleset.Chain) string {
	switch {
	case a.Priority > b.Priority:
		return fmt.Sprintf("after it (priority %d, after %d)", a.Priority, b.Priority)
	case a.Priority < b.Priority:
		return fmt.Sprintf("before it (priority %d, before %d)", a.Priority, b.Priority)
	}
	return "as well"
}
