package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// unused looks for chains with rules that nothing leads to.
func (g *graph) unused(t *ruleset.Table) []Finding {
	reached := make(map[*ruleset.Chain]bool)
	var walk func(c *ruleset.Chain) bool
	walk = func(c *ruleset.Chain) bool {
		if reached[c] {
			return true
		}
		reached[c] = true
		for _, r := range c.Rules {
			if !r.Read || !knownTargets(r) {
				return false // it may lead anywhere
			}
			for _, s := range r.Statements {
				for _, target := range targets(s) {
					if !walk(target) {
						return false
					}
				}
			}
		}
		return true
	}
	for _, c := range t.Chains {
		if c.IsBase() && !walk(c) {
			return nil
		}
	}
	var names []string
	rules := 0
	var first *ruleset.Chain
	for _, c := range t.Chains {
		if reached[c] || len(c.Rules) == 0 {
			continue
		}
		if first == nil {
			first = c
		}
		rules += len(c.Rules)
		names = append(names, c.Name)
	}
	if first == nil {
		return nil
	}
	what := fmt.Sprintf("chain %s (rules: %d) is", names[0], rules)
	if len(names) > 1 {
		what = fmt.Sprintf("%d chains with %d rules (%s) are", len(names), rules, someOf(names))
	}
	return []Finding{{Code: UnusedChain, Severity: Low, Chain: first,
		Message: fmt.Sprintf("%s in %s, but no jump leads there", what, t.FullName())}}
}

// knownTargets reports whether all chains that a rule leads to are known.
func knownTargets(r *ruleset.Rule) bool {
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *ruleset.VerdictMap:
			if s.Set == nil || !s.Set.Complete || s.Set.Dynamic {
				return false
			}
		case *ruleset.Verdict:
			if (s.Kind == ruleset.Jump || s.Kind == ruleset.Goto) && s.Target == nil {
				return false
			}
		case *ruleset.Opaque:
			if !s.Understood {
				return false
			}
		}
	}
	return true
}

func someOf(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// reachable lists the chains that a base chain leads to, itself first.
func reachable(base *ruleset.Chain) []*ruleset.Chain {
	list := []*ruleset.Chain{base}
	for i := 0; i < len(list); i++ {
		for _, r := range list[i].Rules {
			for _, s := range r.Statements {
				for _, target := range targets(s) {
					if !slices.Contains(list, target) {
						list = append(list, target)
					}
				}
			}
		}
	}
	return list
}
