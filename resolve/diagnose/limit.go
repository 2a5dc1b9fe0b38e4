package diagnose

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

// limits are kinds of steps that stop holding after so many packets,
// connections or bytes.
var limits = []string{"limit", "hashlimit", "connlimit", "ct count", "quota"}

func limitOf(s *shape) *ruleset.Opaque {
	if len(s.doubts) == 1 && slices.Contains(limits, s.doubts[0].Kind) {
		return s.doubts[0]
	}
	return nil
}

// rateLimit: a rule accepts up to a limit, all its matches held, and still the
// packet came to the drop. Or the drop itself is what exceeds one.
func (d *diagnosis) rateLimit() []Why {
	if r := d.c.Place.Rule; r != nil {
		s := shapeOf(r)
		if l := limitOf(&s); l != nil && !s.odd && d.holds(&s) && d.over(r, l) {
			return []Why{{Code: RateLimit,
				Message: fmt.Sprintf("it is more than %s lets through (%s); choose a higher LIMIT", d.ruleName(r), d.limitText(r, l)),
				Fix:     d.raised(r)}}
		}
	}
	for i := range d.result.Steps {
		step := &d.result.Steps[i]
		if step.Base != d.c.Place.Base || step.Rule == nil || step.Truth != replay.Unknown {
			continue
		}
		s := shapeOf(step.Rule)
		if l := limitOf(&s); l != nil && passes(&s, step.Rule, d.c.Place.Rule) && !s.odd && d.holds(&s) && !d.over(step.Rule, l) {
			return []Why{{Code: RateLimit,
				Message: fmt.Sprintf("%s lets it through only up to a limit, which was exceeded (%s); choose a higher LIMIT",
					d.ruleName(step.Rule), d.limitText(step.Rule, l)),
				Fix: d.raised(step.Rule)}}
		}
	}
	return nil
}

var (
	limitOptions = []string{"--limit", "--hashlimit-upto", "--hashlimit-above", "--hashlimit", "--connlimit-upto", "--connlimit-above", "--quota"}
	overLimit    = regexp.MustCompile(`-above\b|\bover\b|! --(hashlimit|connlimit|quota)`)
	nftLimit     = regexp.MustCompile(`\b(limit rate|ct count|quota)( over)? [0-9]+( ?[kmg]?bytes)?(/[a-z]+)?`)
)

// passes reports whether a rule keeps the packet from the drop: as an accept, or
// in the drop's own chain as a return.
func passes(s *shape, r, drop *ruleset.Rule) bool {
	return s.is(ruleset.Accept) || s.is(ruleset.Return) && drop != nil && r.Chain == drop.Chain
}

// over reports whether the rule is for what exceeds its limit. A drop without that
// lets through what exceeds it.
func (d *diagnosis) over(r *ruleset.Rule, l *ruleset.Opaque) bool {
	return overLimit.MatchString(d.limitText(r, l))
}

// limitText is the limit in the rule's own words.
func (d *diagnosis) limitText(r *ruleset.Rule, l *ruleset.Opaque) string {
	if r.Chain.Table.Engine == ruleset.NFTables {
		if text := nftLimit.FindString(d.text(r)); text != "" {
			return text
		}
	}
	return l.Text
}

// raised is the command that replaces the rule's limit by another one.
func (d *diagnosis) raised(r *ruleset.Rule) string {
	if ownerOf(r.Chain, r) != "" {
		return ""
	}
	return d.c.Namespace.in(d.again(r, func(args []string) string {
		i := slices.IndexFunc(args, func(a string) bool { return slices.Contains(limitOptions, a) })
		if i < 0 || i+1 >= len(args) {
			return ""
		}
		args[i+1] = "LIMIT"
		words := []string{d.iptables(r.Chain.Table)}
		if r.Chain.Table.Name != "filter" {
			words = append(words, "-t", r.Chain.Table.Name)
		}
		words = append(words, "-R", r.Chain.Name, fmt.Sprint(r.Number))
		return shell(append(words, args...)...)
	}, func(statement string) string {
		if len(nftLimit.FindAllString(statement, 2)) != 1 {
			return ""
		}
		statement = nftLimit.ReplaceAllString(statement, "$1$2 LIMIT")
		return nftCommand("replace rule", r.Chain, fmt.Sprintf("handle %d", r.Handle), statement)
	}))
}
