package iptables

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Copy copies a table with its chains and rules, so that they can be changed.
// Statements are shared, except jumps, which lead to the copy's chains.
func Copy(t *ruleset.Table) *ruleset.Table {
	copied := *t
	chains := make(map[*ruleset.Chain]*ruleset.Chain, len(t.Chains))
	copied.Chains = make([]*ruleset.Chain, len(t.Chains))
	for i, c := range t.Chains {
		another := *c
		another.Table = &copied
		copied.Chains[i], chains[c] = &another, &another
	}
	for _, c := range copied.Chains {
		rules := make([]ruleset.Rule, len(c.Rules)) // one piece of memory for all
		own := make([]*ruleset.Rule, len(c.Rules))
		for i, r := range c.Rules {
			rules[i] = *r
			own[i] = &rules[i]
			own[i].Chain = c
			own[i].Statements = redirect(r.Statements, chains)
		}
		c.Rules = own
	}
	return &copied
}

// redirect leads jumps to the copies of their chains.
func redirect(statements []ruleset.Statement, chains map[*ruleset.Chain]*ruleset.Chain) []ruleset.Statement {
	for i, s := range statements {
		v, ok := s.(*ruleset.Verdict)
		if !ok || chains[v.Target] == nil {
			continue
		}
		another := *v
		another.Target = chains[v.Target]
		statements = slices.Clone(statements)
		statements[i] = &another
	}
	return statements
}
