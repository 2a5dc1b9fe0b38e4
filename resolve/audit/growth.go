package audit

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const DropsGrow Code = "drop-counter-grows"

// Sample holds counters of drop rules, by what names a rule for as long as
// nobody changes it.
type Sample map[counterKey]uint64

type counterKey struct {
	engine               ruleset.Engine
	family, table, chain string
	handle               uint64
	number               int
}

// Count samples the counters of rules that always drop what they match.
func Count(rulesets []*ruleset.Ruleset) Sample {
	s := make(Sample)
	eachRule(rulesets, func(r *ruleset.Rule) {
		if r.Counts && onlyDropsRule(r) {
			s[keyOf(r)] = r.Packets
		}
	})
	return s
}

func keyOf(r *ruleset.Rule) counterKey {
	k := counterKey{r.Chain.Table.Engine, r.Chain.Table.Family, r.Chain.Table.Name, r.Chain.Name, r.Handle, 0}
	if r.Handle == 0 {
		k.number = r.Number
	}
	return k
}

func onlyDropsRule(r *ruleset.Rule) bool {
	return slices.ContainsFunc(r.Statements, func(s ruleset.Statement) bool {
		v, ok := s.(*ruleset.Verdict)
		return ok && (v.Kind == ruleset.Drop || v.Kind == ruleset.Reject)
	})
}

// growing compares a sample with the rules as they are now, the busiest first. A
// firewall that drops does its work: it is told as something to know.
// Where rules were changed in between nothing is said: a number may be another
// rule's.
func growing(before Sample, now []*ruleset.Ruleset, between time.Duration) []Finding {
	type grown struct {
		rule *ruleset.Rule
		by   uint64
	}
	var list []grown
	eachRule(now, func(r *ruleset.Rule) {
		if from, ok := before[keyOf(r)]; ok && r.Counts && r.Packets > from {
			list = append(list, grown{r, r.Packets - from})
		}
	})
	slices.SortStableFunc(list, func(a, b grown) int { return cmp.Compare(b.by, a.by) })
	var out []Finding
	for _, g := range list {
		out = append(out, Finding{Code: DropsGrow, Severity: Low, Chain: g.rule.Chain, Rules: []*ruleset.Rule{g.rule},
			Message: fmt.Sprintf("%s %s drops now: %d packets in %s, %d since it was made",
				g.rule.Chain.FullName(), g.rule.Place(), g.by, short(between), g.rule.Packets)})
	}
	return out
}
