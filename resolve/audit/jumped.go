package audit

import (
	"fmt"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// callers are the rules that lead to each chain of a table.
func callers(t *ruleset.Table) map[*ruleset.Chain][]*ruleset.Rule {
	out := make(map[*ruleset.Chain][]*ruleset.Rule)
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, s := range r.Statements {
				for _, target := range targets(s) {
					out[target] = append(out[target], r)
				}
			}
		}
	}
	return out
}

// beforeJump looks for rules of a chain, to which one rule alone leads, whose packets
// all meet their end before that one.
func (g *graph) beforeJump(c *ruleset.Chain, from *ruleset.Rule) []Finding {
	if c.IsBase() || !from.Read || assigns(from) || lastTarget(from) != c {
		return nil
	}
	at := slices.Index(from.Chain.Rules, from)
	outer, inner := g.read(from.Chain), g.changesOf(c)
	if at < 0 || outer.enders == nil {
		return nil
	}
	covering := func(cond *condition, until int) (by *condition) {
		budget := maxCompared / max(1, len(c.Rules))
		outer.enders.candidates(cond, func(a *condition) bool {
			budget--
			fields, sets := a.fields()
			if a.index < at && (by == nil || a.index < by.index) && a.covers(cond) && !outer.changes.between(a.index, at-1, fields, sets) &&
				!inner.between(0, until, fields, sets) {
				by = a
			}
			return budget > 0
		})
		return by
	}
	if covering(outer.all[at], -1) != nil {
		return nil // that is told of the jump
	}
	var out []Finding
	for i, r := range c.Rules {
		both := conditionOf(&ruleset.Rule{Chain: c, Read: r.Read, Statements: append(conditionsOf(from), r.Statements...)}, at, g.isClosed)
		if !r.Read || both.never() {
			continue
		}
		if by := covering(&both, i); by != nil {
			out = append(out, beforeJumpFinding(&both, r, by, from))
		}
	}
	return out
}

// conditionsOf is what a rule asks before its verdict.
func conditionsOf(r *ruleset.Rule) []ruleset.Statement {
	var out []ruleset.Statement
	for _, s := range r.Statements {
		if _, ok := s.(*ruleset.Verdict); !ok {
			out = append(out, s)
		}
	}
	return out
}

func beforeJumpFinding(c *condition, r *ruleset.Rule, by *condition, from *ruleset.Rule) Finding {
	f := Finding{Code: Shadowed, Severity: Low, Chain: r.Chain, Rules: []*ruleset.Rule{r, by.rule}}
	says := "never matches: all its packets are taken"
	switch {
	case c.ends && c.by == ruleset.Accept && drops(by):
		f.Code, f.Severity, says = AcceptBelowDrop, High, "never accepts: all its packets are dropped"
	case c.by != 0 && c.by != ruleset.Continue && c.by != by.by:
		f.Severity = Medium
	}
	f.Message = fmt.Sprintf("%s %s %s by %s %s, before %s leads to it",
		r.Chain.FullName(), r.Place(), says, by.rule.Chain.Name, by.rule.Place(), from.Place())
	return f
}
