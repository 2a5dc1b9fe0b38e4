package diagnose

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// otherFamily: the same tool's rules for the other family accept this service
// from and to anywhere.
func (d *diagnosis) otherFamily() []drop.Why {
	other := "ip"
	if d.f.family() == "ip" {
		other = "ip6"
	}
	base := d.c.Place.Base
	for _, rs := range d.c.Rulesets {
		for _, t := range rs.Tables {
			if t.Engine != base.Table.Engine || t.Family != other && t.Family != "inet" {
				continue
			}
			for _, c := range t.Chains {
				if c.Hook != base.Hook || c.Type != "" && c.Type != "filter" || t.Family == "inet" && c != base {
					continue
				}
				if r := d.acceptsOther(c); r != nil {
					return d.onlyOther(r, other)
				}
			}
		}
	}
	return nil
}

// acceptsOther looks for a rule of a base chain that would hold for the packet
// were it of the other family: all it asks for beside the family holds, and it
// asks for no address.
func (d *diagnosis) acceptsOther(c *ruleset.Chain) *ruleset.Rule {
	for _, r := range c.Rules {
		if d.otherPort(r) {
			continue
		}
		s := shapeOf(r)
		if s.verdict == nil || s.odd || len(s.doubts) > 0 {
			continue
		}
		familyFails := c.Table.Family != "inet"
		holds := true
		for _, c := range s.conditions {
			m := single(c)
			switch {
			case m != nil && looksAt(m, ruleset.NFProto, ruleset.EtherType):
				familyFails = familyFails || d.truth(c) == replay.No
			case m != nil && networkField(m) || d.truth(c) != replay.Yes:
				holds = false
			}
		}
		switch {
		case !holds:
		case s.is(ruleset.Accept):
			if familyFails && s.anchored() && s.has(ruleset.DestinationPort) != nil {
				return r
			}
		case !s.is(ruleset.Jump, ruleset.Continue):
			return nil // what comes below it is not come to
		}
	}
	return nil
}

// networkField reports whether a match reads the network header.
func networkField(m *ruleset.Match) bool {
	for _, f := range m.Fields {
		if base, _, _, ok := f.IsPayload(); ok && base == ruleset.Network {
			return true
		}
	}
	return false
}

func (d *diagnosis) onlyOther(r *ruleset.Rule, other string) []drop.Why {
	names := map[string]string{"ip": "IPv4", "ip6": "IPv6"}
	w := drop.Why{Code: drop.WhyOtherFamily, Message: fmt.Sprintf("%s accepts %s for %s only, and it is %s",
		d.ruleName(r), d.f.service(), names[other], names[d.f.family()])}
	if s, ok := d.specLike(miss{rule: r, accept: r}); ok {
		s.src = d.f.Source
		w.Fix = d.fix(s)
	}
	return []drop.Why{w}
}
