package diagnose

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// edit is a ruleset with one chain's rules changed: what would be, if. The
// rulesets it is made from stay as they are; of the changed table all chains and
// rules are copies, since jumps lead from one to the other.
type edit struct {
	rulesets []*ruleset.Ruleset
	// origin leads from copies back to the rules that people know.
	origin map[*ruleset.Rule]*ruleset.Rule
	chains map[*ruleset.Chain]*ruleset.Chain // from the original to the copy
}

// change copies tables and has f edit the copy of one chain's rules, which may be
// nil for none. The rules themselves may be replaced, not written to. Rules that
// are settled are left out of all chains.
func change(in []*ruleset.Ruleset, settled map[*ruleset.Rule]bool, chain *ruleset.Chain,
	f func([]*ruleset.Rule) []*ruleset.Rule) *edit {
	e := &edit{
		rulesets: slices.Clone(in),
		origin:   make(map[*ruleset.Rule]*ruleset.Rule),
		chains:   make(map[*ruleset.Chain]*ruleset.Chain),
	}
	tables := make(map[*ruleset.Table]bool)
	if chain != nil {
		tables[chain.Table] = true
	}
	for r, out := range settled {
		if out {
			tables[r.Chain.Table] = true
		}
	}
	for i, rs := range in {
		copied := *rs
		copied.Tables = slices.Clone(rs.Tables)
		for j, t := range rs.Tables {
			if tables[t] {
				copied.Tables[j] = e.copyTable(t, settled, chain, f)
				e.rulesets[i] = &copied
			}
		}
	}
	return e
}

func (e *edit) copyTable(t *ruleset.Table, settled map[*ruleset.Rule]bool, chain *ruleset.Chain,
	f func([]*ruleset.Rule) []*ruleset.Rule) *ruleset.Table {
	table := *t
	table.Chains = make([]*ruleset.Chain, len(t.Chains))
	for i, c := range t.Chains {
		copied := *c
		copied.Table = &table
		table.Chains[i], e.chains[c] = &copied, &copied
	}
	for _, c := range t.Chains {
		rules := c.Rules
		if c == chain {
			rules = f(slices.Clone(rules))
		}
		if len(settled) > 0 {
			rules = slices.DeleteFunc(slices.Clone(rules), func(r *ruleset.Rule) bool { return settled[r] })
		}
		e.copyRules(e.chains[c], rules)
	}
	return &table
}

func (e *edit) copyRules(to *ruleset.Chain, rules []*ruleset.Rule) {
	store := make([]ruleset.Rule, len(rules))
	to.Rules = make([]*ruleset.Rule, len(rules))
	for i, r := range rules {
		store[i] = *r
		copied := &store[i]
		copied.Chain = to
		copied.Statements = e.statements(r.Statements)
		to.Rules[i] = copied
		e.origin[copied] = r
	}
}

// statements copies only what leads to a chain.
func (e *edit) statements(in []ruleset.Statement) []ruleset.Statement {
	var out []ruleset.Statement
	for i, s := range in {
		var copied ruleset.Statement
		switch s := s.(type) {
		case *ruleset.Verdict:
			if s.Target != nil {
				v := *s
				v.Target = e.chains[s.Target]
				copied = &v
			}
		case *ruleset.VerdictMap:
			if s.Set != nil {
				m := *s
				m.Set = e.verdictSet(s.Set)
				copied = &m
			}
		}
		if copied == nil {
			continue
		}
		if out == nil {
			out = slices.Clone(in)
		}
		out[i] = copied
	}
	if out == nil {
		return in
	}
	return out
}

func (e *edit) verdictSet(in *ruleset.Set) *ruleset.Set {
	out := *in
	out.Elements = slices.Clone(in.Elements)
	for i := range out.Elements {
		if v := out.Elements[i].Verdict; v != nil && v.Target != nil {
			copied := *v
			copied.Target = e.chains[v.Target]
			out.Elements[i].Verdict = &copied
		}
	}
	return &out
}

// known returns the rule that a copy was made from.
func (e *edit) known(r *ruleset.Rule) *ruleset.Rule {
	if o, ok := e.origin[r]; ok {
		return o
	}
	return r
}

// now is the copy of a chain, or the chain itself where it was not copied.
func (e *edit) now(c *ruleset.Chain) *ruleset.Chain {
	if copied, ok := e.chains[c]; ok {
		return copied
	}
	return c
}

// without is the ruleset without a rule.
func (d *diagnosis) without(r *ruleset.Rule) *edit {
	return change(d.c.Rulesets, d.settled, r.Chain, func(rules []*ruleset.Rule) []*ruleset.Rule {
		return slices.DeleteFunc(rules, func(x *ruleset.Rule) bool { return x == r })
	})
}

// inserted is a ruleset with a rule more, before the one at index.
func (d *diagnosis) inserted(in []*ruleset.Ruleset, chain *ruleset.Chain, index int, r *ruleset.Rule) *edit {
	return insert(in, d.settled, chain, index, r)
}

func insert(in []*ruleset.Ruleset, settled map[*ruleset.Rule]bool, chain *ruleset.Chain, index int, r *ruleset.Rule) *edit {
	return change(in, settled, chain, func(rules []*ruleset.Rule) []*ruleset.Rule {
		return slices.Insert(rules, min(index, len(rules)), r)
	})
}

// relaxed is the ruleset with one condition taken out of a rule.
func (d *diagnosis) relaxed(r *ruleset.Rule, step ruleset.Statement) *edit {
	return change(d.c.Rulesets, d.settled, r.Chain, func(rules []*ruleset.Rule) []*ruleset.Rule {
		i := slices.Index(rules, r)
		copied := *r // another rule than the settled one
		copied.Statements = slices.DeleteFunc(slices.Clone(r.Statements), func(s ruleset.Statement) bool {
			return s == step
		})
		rules[i] = &copied
		return rules
	})
}
