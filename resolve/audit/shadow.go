package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const (
	AcceptBelowDrop Code = "accept-below-drop"
	Unreachable     Code = "unreachable-rule"
	Shadowed        Code = "shadowed-rule"
	Duplicate       Code = "duplicate-rule"
	Redundant       Code = "redundant-rule"
	NeverMatches    Code = "never-matches"
	UnusedChain     Code = "unused-chain"
)

// maxCompared bounds the comparisons in one chain: some seconds' worth.
const maxCompared = 20_000_000

// maxListed is how many rules a finding lists; it counts the rest.
const maxListed = 8

// shadows are the findings of one chain, rule by rule under what covers them.
type shadows struct {
	graph *graph
	text  func(*ruleset.Rule) string
	byKey map[shadowKey]*shadow
	order []*shadow
}

type shadowKey struct {
	by   *ruleset.Rule
	code Code
}

type shadow struct {
	code  Code
	by    *condition
	rules []*condition
}

// shadowed looks for rules that can never do what they say.
func (g *graph) shadowed(c *ruleset.Chain, text func(*ruleset.Rule) string) []Finding {
	s := shadows{graph: g, text: text, byKey: make(map[shadowKey]*shadow)}
	var findings []Finding
	own := g.read(c)
	for i, cond := range own.all {
		if cond.never() {
			findings = append(findings, neverMatches(c.Rules[i]))
		}
	}
	if own.enders != nil {
		s.compare(own.all, own.enders, own.changes)
	}
	for _, found := range s.order {
		findings = append(findings, s.finding(found))
	}
	return findings
}

func (s *shadows) compare(all []*condition, x *index, changed *changes) {
	budget := maxCompared
	for _, c := range all {
		if !c.rule.Read || c.never() || budget <= 0 {
			continue
		}
		var by *condition
		x.candidates(c, func(a *condition) bool {
			budget--
			if a.index < c.index && (by == nil || a.index < by.index) && a.covers(c) && !changed.alters(a, c) {
				by = a
			}
			return budget > 0
		})
		if by != nil {
			s.note(by, c)
		}
	}
}

// alters reports whether what a looked at may be otherwise when c looks.
func (c *changes) alters(a, d *condition) bool {
	fields, sets := a.fields()
	return c.between(a.index, d.index, fields, sets)
}

func (s *shadows) note(by, c *condition) {
	code := codeOf(by, c)
	key := shadowKey{by.rule, code}
	found := s.byKey[key]
	if found == nil {
		found = &shadow{code: code, by: by}
		s.byKey[key] = found
		s.order = append(s.order, found)
	}
	found.rules = append(found.rules, c)
}

// codeOf says what it means that a rule stands below one that covers it.
func codeOf(by, c *condition) Code {
	switch {
	case c.ends && c.by == ruleset.Accept && drops(by):
		return AcceptBelowDrop
	case by.unconditional():
		return Unreachable
	case c.ends && sameEnd(by, c) && c.covers(by):
		return Duplicate
	case c.ends && sameEnd(by, c):
		return Redundant
	}
	return Shadowed
}

// sameEnd compares verdicts with all that they say: two jumps to chains that end
// are not the same, nor are two rejects with different answers known to be.
func sameEnd(a, b *condition) bool {
	if a.by != b.by || hasNAT(a.rule) || hasNAT(b.rule) {
		return false
	}
	switch a.by {
	case ruleset.Accept, ruleset.Drop, ruleset.Return:
		return !assigns(b.rule)
	}
	return false
}

func hasNAT(r *ruleset.Rule) bool {
	return slices.ContainsFunc(r.Statements, func(s ruleset.Statement) bool { _, ok := s.(*ruleset.NAT); return ok })
}

// assigns reports whether a rule does more than end the packet's way.
func assigns(r *ruleset.Rule) bool {
	return slices.ContainsFunc(r.Statements, func(s ruleset.Statement) bool {
		switch s.(type) {
		case *ruleset.Assign, *ruleset.NoTrack, *ruleset.Opaque:
			return true
		}
		return false
	})
}

// drops reports whether what meets the condition is dropped or rejected; a jump
// to a chain that ends is looked into.
func drops(c *condition) bool {
	switch c.by {
	case ruleset.Drop, ruleset.Reject:
		return true
	case ruleset.Jump, ruleset.Goto:
		return onlyDrops(lastTarget(c.rule), 0)
	}
	return false
}

func lastTarget(r *ruleset.Rule) *ruleset.Chain {
	for _, s := range r.Statements {
		if v, ok := s.(*ruleset.Verdict); ok {
			return v.Target
		}
	}
	return nil
}

// onlyDrops: every verdict in the chain is drop or reject.
func onlyDrops(c *ruleset.Chain, depth int) bool {
	if c == nil || depth > 16 {
		return false
	}
	for _, r := range c.Rules {
		for _, s := range r.Statements {
			switch s := s.(type) {
			case *ruleset.Verdict:
				switch {
				case s.Kind == ruleset.Drop, s.Kind == ruleset.Reject, s.Kind == ruleset.Continue:
				case (s.Kind == ruleset.Jump || s.Kind == ruleset.Goto) && onlyDrops(s.Target, depth+1):
				default:
					return false
				}
			case *ruleset.VerdictMap, *ruleset.NAT:
				return false
			case *ruleset.Opaque:
				if s.MayAccept || !s.Understood {
					return false
				}
			}
		}
	}
	return true
}

func (s *shadows) finding(f *shadow) Finding {
	first, by := f.rules[0].rule, f.by.rule
	out := Finding{Code: f.code, Severity: severityOf(f), Chain: first.Chain}
	for _, c := range f.rules[:min(len(f.rules), maxListed)] {
		out.Rules = append(out.Rules, c.rule)
	}
	out.More = len(f.rules) - len(out.Rules)
	out.Rules = append(out.Rules, by)
	out.Message = fmt.Sprintf("%s %s %s %s", first.Chain.FullName(), numbers(f.rules), saying(f), by.Place())
	if len(f.rules) == 1 {
		out.mend(s.fix(f.code, first, by))
	}
	return out
}

func severityOf(f *shadow) Severity {
	switch f.code {
	case AcceptBelowDrop:
		return High
	case Duplicate, Redundant:
		return Low
	}
	for _, c := range f.rules {
		if c.by != 0 && c.by != ruleset.Continue && c.by != f.by.by {
			return Medium
		}
	}
	return Low
}

func saying(f *shadow) string {
	many := len(f.rules) > 1
	pick := func(one, more string) string {
		if many {
			return more
		}
		return one
	}
	switch f.code {
	case AcceptBelowDrop:
		if f.by.by == ruleset.Reject {
			return pick("never accepts: above it, all its packets are rejected by", "never accept: above them, all their packets are rejected by")
		}
		return pick("never accepts: above it, all its packets are dropped by", "never accept: above them, all their packets are dropped by")
	case Duplicate:
		return pick("says again what is said by", "say again what is said by")
	case Redundant:
		return pick("changes nothing: all its packets have met the same verdict by", "change nothing: all their packets have met the same verdict by")
	case Unreachable:
		return pick("is never reached: nothing gets past", "are never reached: nothing gets past")
	}
	return pick("never matches: above it, all its packets are taken by", "never match: above them, all their packets are taken by")
}

// numbers joins them: rule 7, rules 7 and 9, rules 7 to 12, rules 7, 9 and 3 more.
func numbers(list []*condition) string {
	if len(list) == 1 {
		return list[0].rule.Place()
	}
	first, last := list[0].rule.Number, list[len(list)-1].rule.Number
	if last-first == len(list)-1 && len(list) > 2 {
		return fmt.Sprintf("rules %d to %d", first, last)
	}
	var names []string
	for _, c := range list[:min(len(list), maxListed)] {
		names = append(names, strconv.Itoa(c.rule.Number))
	}
	if more := len(list) - len(names); more > 0 {
		return "rules " + strings.Join(names, ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return "rules " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func neverMatches(r *ruleset.Rule) Finding {
	return Finding{Code: NeverMatches, Severity: Medium, Chain: r.Chain, Rules: []*ruleset.Rule{r},
		Message: fmt.Sprintf("%s %s never matches: its own conditions exclude each other", r.Chain.FullName(), r.Place())}
}

// fix proposes a command only where one does it: moving an accept above the drop
// is said, deleting is said for what changes nothing.
func (s *shadows) fix(code Code, rule, by *ruleset.Rule) (command string, named bool) {
	switch code {
	case AcceptBelowDrop:
		return insertAbove(rule, by, s.text(rule))
	case Duplicate, Redundant:
		return deleteRule(rule)
	}
	return "", true
}
