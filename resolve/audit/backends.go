package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const BothBackends Code = "both-backends"

// bothBackends looks for hooks of one family that iptables-legacy and nf_tables
// both filter: what one accepts the other may still drop, and each one's own
// program shows only half.
func bothBackends(rulesets []*ruleset.Ruleset) []Finding {
	var out []Finding
	for _, family := range []string{"ip", "ip6"} {
		var hooks []string
		var order string
		for _, hook := range []string{"prerouting", "input", "forward", "output", "postrouting"} {
			legacy := filtering(rulesets, family, hook, true)
			nft := filtering(rulesets, family, hook, false)
			if legacy == nil || nft == nil {
				continue
			}
			hooks = append(hooks, hook)
			order = first(legacy, nft)
		}
		if len(hooks) > 0 {
			out = append(out, Finding{Code: BothBackends, Severity: Medium,
				Message: fmt.Sprintf("iptables-legacy and nf_tables both have %s rules at %s: a packet must pass both, and %s",
					family, strings.Join(hooks, ", "), order)})
		}
	}
	return out
}

// filtering is the chain of a backend that is asked first at a hook, nil where
// it has none with a rule or a drop policy.
func filtering(rulesets []*ruleset.Ruleset, family, hook string, legacy bool) *ruleset.Chain {
	var found *ruleset.Chain
	for _, rs := range rulesets {
		for _, t := range rs.Tables {
			if (t.Engine == ruleset.IPTablesLegacy) != legacy || t.Family != family && t.Family != "inet" {
				continue
			}
			for _, c := range t.Chains {
				if c.Hook != hook || len(c.Rules) == 0 && c.Policy != "drop" {
					continue
				}
				if found == nil || c.Priority < found.Priority {
					found = c
				}
			}
		}
	}
	return found
}

// first says which of two is asked first. At one priority it is the one that was
// registered last (nf_hook_entries_grow), which nothing shows.
func first(legacy, nft *ruleset.Chain) string {
	switch {
	case legacy.Priority < nft.Priority:
		return legacy.FullName() + " is asked first"
	case legacy.Priority > nft.Priority:
		return nft.FullName() + " is asked first"
	}
	return fmt.Sprintf("at one priority (%d) the one loaded last is asked first", nft.Priority)
}

// chainsAt lists the base chains of a hook that a family's packets meet.
func chainsAt(rulesets []*ruleset.Ruleset, family, hook string) []*ruleset.Chain {
	var list []*ruleset.Chain
	for _, rs := range rulesets {
		for _, t := range rs.Tables {
			if t.Family != family && t.Family != "inet" {
				continue
			}
			for _, c := range t.Chains {
				if c.Hook == hook {
					list = append(list, c)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *ruleset.Chain) int { return int(a.Priority) - int(b.Priority) })
	return list
}
