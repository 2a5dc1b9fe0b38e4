package diagnose

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/ruleset"
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

// change copies the table of a chain and has f edit the copy of the chain's
// rules. The rules themselves may be replaced, not written to.
func change(in []*ruleset.Ruleset, chain *ruleset.Chain, f func([]*ruleset.Rule) []*ruleset.Rule) *edit {
	e := &edit{
		rulesets: slices.Clone(in),
		origin:   make(map[*ruleset.Rule]*ruleset.Rule),
		chains:   make(map[*ruleset.Chain]*ruleset.Chain, len(chain.Table.Chains)),
	}
	table := *chain.Table
	table.Chains = make([]*ruleset.Chain, len(chain.Table.Chains))
	for i, c := range chain.Table.Chains {
		copied := *c
		copied.Table = &table
		table.Chains[i], e.chains[c] = &copied, &copied
	}
	for _, c := range chain.Table.Chains {
		rules := c.Rules
		if c == chain {
			rules = f(slices.Clone(rules))
		}
		e.copyRules(e.chains[c], rules)
	}
	for i, rs := range in {
		if j := slices.Index(rs.Tables, chain.Table); j >= 0 {
			copied := *rs
			copied.Tables = slices.Clone(rs.Tables)
			copied.Tables[j] = &table
			e.rulesets[i] = &copied
		}
	}
	return e
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

// without is the ruleset without a rule.
func without(in []*ruleset.Ruleset, r *ruleset.Rule) *edit {
	return change(in, r.Chain, func(rules []*ruleset.Rule) []*ruleset.Rule {
		return slices.DeleteFunc(rules, func(x *ruleset.Rule) bool { return x == r })
	})
}

// inserted is the ruleset with a rule more, before the one at index.
func inserted(in []*ruleset.Ruleset, chain *ruleset.Chain, index int, r *ruleset.Rule) *edit {
	return change(in, chain, func(rules []*ruleset.Rule) []*ruleset.Rule {
		return slices.Insert(rules, min(index, len(rules)), r)
	})
}

// relaxed is the ruleset with one condition taken out of a rule.
func relaxed(in []*ruleset.Ruleset, r *ruleset.Rule, step ruleset.Statement) *edit {
	return change(in, r.Chain, func(rules []*ruleset.Rule) []*ruleset.Rule {
		i := slices.Index(rules, r)
		copied := *r
		copied.Statements = slices.DeleteFunc(slices.Clone(r.Statements), func(s ruleset.Statement) bool {
			return s == step
		})
		rules[i] = &copied
		return rules
	})
}
