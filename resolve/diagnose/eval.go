package diagnose

import (
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func (d *diagnosis) replay(rulesets []*ruleset.Ruleset, p *replay.Packet, steps bool) *replay.Result {
	return replay.At(rulesets, d.c.Hook, p, d.c.Environment, replay.Options{Steps: steps})
}

// evaluate asks for each list of statements whether all of it holds for the
// packet. They become rules without a verdict, so that one run evaluates all of
// them.
func (d *diagnosis) evaluate(lists [][]ruleset.Statement) []replay.Truth {
	like := d.c.Place.Base
	table := &ruleset.Table{Engine: like.Table.Engine, Family: like.Table.Family, Name: like.Table.Name}
	base := &ruleset.Chain{
		Table: table, Name: like.Name, Hook: like.Hook, Type: "filter", Policy: "accept",
		Devices: like.Devices,
	}
	table.Chains = []*ruleset.Chain{base}
	index := make(map[*ruleset.Rule]int, len(lists))
	for i, list := range lists {
		r := &ruleset.Rule{Chain: base, Number: i + 1, Read: true, Statements: list}
		base.Rules = append(base.Rules, r)
		index[r] = i
	}
	out := make([]replay.Truth, len(lists))
	for i := range out {
		out[i] = replay.Unknown
	}
	result := d.replay([]*ruleset.Ruleset{{Tables: []*ruleset.Table{table}}}, &d.c.Packet, true)
	for i := range result.Steps {
		if n, ok := index[result.Steps[i].Rule]; ok {
			out[n] = result.Steps[i].Truth
		}
	}
	return out
}

// truth is whether one statement holds.
func (d *diagnosis) truth(s ruleset.Statement) replay.Truth {
	return d.evaluate([][]ruleset.Statement{{s}})[0]
}

func (d *diagnosis) match(m *ruleset.Match) replay.Truth { return d.truth(m) }

func (d *diagnosis) holds(s *shape) bool {
	return d.evaluate([][]ruleset.Statement{s.conditions})[0] == replay.Yes
}

// onlyFailure is the one condition of a rule that fails while all others hold;
// nil where there is none.
func (d *diagnosis) onlyFailure(conditions []ruleset.Statement) ruleset.Statement {
	lists := make([][]ruleset.Statement, len(conditions))
	for i, c := range conditions {
		lists[i] = []ruleset.Statement{c}
	}
	var failed ruleset.Statement
	for i, t := range d.evaluate(lists) {
		switch {
		case t == replay.Yes:
		case t == replay.No && failed == nil:
			failed = conditions[i]
		default:
			return nil
		}
	}
	return failed
}
