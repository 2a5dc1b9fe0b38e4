// Package audit looks at a firewall that nothing has met yet: rules that can
// never match, policies that nothing softens, tables that are nearly full.
//
// A finding is a fact that the ruleset and the machine's own numbers prove. What
// is not understood is left out: a false alarm costs more than a missed one.
package audit

import (
	"cmp"
	"slices"
	"time"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Severity says how much a finding hurts.
type Severity uint8

const (
	// Low: nothing is lost by it now; it misleads whoever reads the rules.
	Low Severity = iota + 1
	// Medium: traffic of some kind is lost, or will be.
	Medium
	// High: packets die now, or a rule does the opposite of what it says.
	High
)

// String is the word for people and JSON: low, medium or high.
func (s Severity) String() string {
	switch s {
	case High:
		return "high"
	case Medium:
		return "medium"
	}
	return "low"
}

// Code names a kind of finding. Codes are stable: scripts depend on them.
type Code string

// Finding is one thing to look at.
type Finding struct {
	Code     Code
	Severity Severity
	// Message is a sentence with the names and numbers in it, without the rules'
	// texts. What it quotes came from strangers: escape it before a terminal.
	Message string
	// Fix is the command that would mend it; empty where none can be named.
	Fix string
	// Rules that it is about: first the one to change, then what makes it so.
	Rules []*ruleset.Rule
	// More counts rules of the same finding that are not listed.
	More int
	// Chain that it is about, where no rule is.
	Chain *ruleset.Chain
}

// Order lists the indexes of the findings so that what hurts most comes first;
// those of one severity keep their order, those of one code together.
func Order(list []Finding) []int {
	first := make(map[Code]int)
	order := make([]int, len(list))
	for i, f := range list {
		order[i] = i
		if _, ok := first[f.Code]; !ok {
			first[f.Code] = i
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(list[b].Severity, list[a].Severity), cmp.Compare(first[list[a].Code], first[list[b].Code]))
	})
	return order
}

// Subject is what is looked at. Any part may be missing.
type Subject struct {
	// Rulesets of one namespace, or of one set of files.
	Rulesets []*ruleset.Ruleset
	// Before and After are two looks at the machine, Between apart; nil for
	// rules that come from files.
	Before, After *Machine
	Between       time.Duration
	// Counters are those of the first look; nil where the rules were changed
	// since.
	Counters Sample
	// Way into the namespace, for fixes.
	Way diagnose.Namespace
	// Text returns a rule as its own program prints it, empty where that is not
	// known; nil for [ruleset.Rule.Text]. It is asked of few rules only.
	Text func(*ruleset.Rule) string
}

// Look examines the subject.
func Look(s Subject) []Finding {
	var out []Finding
	text := s.Text
	if text == nil {
		text = func(r *ruleset.Rule) string { return r.Text }
	}
	for _, rs := range s.Rulesets {
		for _, t := range rs.Tables {
			g, leads := newGraph(), callers(t)
			for _, c := range t.Chains {
				out = append(out, g.shadowed(c, text)...)
				if from := leads[c]; len(from) == 1 {
					out = append(out, g.beforeJump(c, from[0])...)
				}
			}
			out = append(out, g.unused(t)...)
		}
	}
	out = append(out, policies(s.Rulesets, s.After)...)
	out = append(out, bothBackends(s.Rulesets)...)
	out = append(out, managers(s.Rulesets)...)
	if s.After != nil {
		out = append(out, s.machine()...)
	}
	for i := range out {
		// Conntrack's limits are the whole machine's.
		if f := &out[i]; f.Code != ConntrackFull && f.Code != ConntrackBuckets {
			f.Fix = s.Way.In(f.Fix)
		}
	}
	return out
}

// machine is what needs a look at more than the rules.
func (s *Subject) machine() []Finding {
	var out []Finding
	out = append(out, missingInterfaces(s.Rulesets, s.After.Interfaces)...)
	out = append(out, forwarding(s.Rulesets, s.After)...)
	out = append(out, bridgeCalls(s.Rulesets, s.After)...)
	out = append(out, conntrackFill(s.After.Conntrack)...)
	if s.Before != nil {
		out = append(out, conntrackGrowth(s.Before.Conntrack.Stats, s.After.Conntrack.Stats, s.Between)...)
		out = append(out, growing(s.Counters, s.Rulesets, s.Between)...)
	}
	return out
}
