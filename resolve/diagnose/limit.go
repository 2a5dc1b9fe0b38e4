package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// limits are kinds of steps that stop holding after so many packets,
// connections or bytes.
var limits = []string{"limit", "hashlimit", "connlimit", "ct count", "quota"}

// hits matches what makes a limit of xt_recent, which also keeps plain lists.
var hits = regexp.MustCompile(`--(seconds|hitcount) [0-9]+`)

func limitOf(s *shape) *ruleset.Opaque {
	if len(s.doubts) != 1 {
		return nil
	}
	l := s.doubts[0]
	recent := l.Kind == "recent" && strings.Contains(l.Text, "--hitcount ") && !strings.Contains(l.Text, "! ")
	if recent || slices.Contains(limits, l.Kind) {
		return l
	}
	return nil
}

// rateLimit: a rule accepts up to a limit, all its matches held, and still the
// packet came to the drop. Or what exceeds one is dropped, by the rule or by a
// chain that it leads to.
func (d *diagnosis) rateLimit() []drop.Why {
	for _, r := range []*ruleset.Rule{d.c.Place.Rule, d.dropper().rule} {
		if r == nil {
			continue
		}
		s := shapeOf(r)
		if l := limitOf(&s); l != nil && !s.odd && d.holds(&s) && d.over(r, l) {
			return d.exceeded(r, fmt.Sprintf("it is more than %s lets through (%s)", d.ruleName(r), d.limitDescribed(r, l)))
		}
	}
	for i := range d.result.Steps {
		step := &d.result.Steps[i]
		if step.Base != d.c.Place.Base || step.Rule == nil || step.Truth != replay.Unknown {
			continue
		}
		s := shapeOf(step.Rule)
		if l := limitOf(&s); l != nil && passes(&s, step.Rule, d.c.Place.Rule) && !s.odd && d.holds(&s) && !d.over(step.Rule, l) {
			return d.exceeded(step.Rule, fmt.Sprintf("%s lets it through only up to a limit, which was exceeded (%s)",
				d.ruleName(step.Rule), d.limitDescribed(step.Rule, l)))
		}
	}
	return nil
}

func (d *diagnosis) exceeded(r *ruleset.Rule, message string) []drop.Why {
	w := drop.Why{Code: drop.WhyRateLimit, Message: message, Fix: d.raised(r)}
	if w.Fix != "" {
		w.Message += "; choose a higher LIMIT"
	} else if w.Fix = d.forget(r); w.Fix != "" {
		w.Message += "; the fix forgets the address once"
	}
	return []drop.Why{w}
}

var (
	limitOptions = []string{"--limit", "--hashlimit-upto", "--hashlimit-above", "--hashlimit", "--connlimit-upto", "--connlimit-above", "--quota"}
	overLimit    = regexp.MustCompile(`-above\b|\bover\b|! --(hashlimit|connlimit|quota)|--hitcount `)
	// elementLimit is a limit of each element of a set that the rule fills.
	elementLimit = regexp.MustCompile(`\b(?:add|update) @([^ ]+) \{ (ip6?) saddr limit |\bmeter `)
	nftLimit     = regexp.MustCompile(`\b(limit rate|ct count|quota)( over)? [0-9]+( ?[kmg]?bytes)?(/[a-z]+)?`)
)

// passes reports whether a rule keeps the packet from the drop: as an accept, or
// in the drop's own chain as a return.
func passes(s *shape, r, by *ruleset.Rule) bool {
	return s.is(ruleset.Accept) || s.is(ruleset.Return) && by != nil && r.Chain == by.Chain
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
	if l.Kind == "recent" {
		return strings.Join(hits.FindAllString(l.Text, -1), " ")
	}
	return l.Text
}

// raised are the commands that replace the rule's limit by another one.
func (d *diagnosis) raised(r *ruleset.Rule) string {
	if ownerOf(r.Chain, r) != "" {
		return ""
	}
	commands := []string{d.again(r, func(args []string) string {
		i := slices.IndexFunc(args, func(a string) bool { return slices.Contains(limitOptions, a) })
		if i < 0 || i+1 >= len(args) {
			return ""
		}
		args[i+1] = "LIMIT"
		if j := slices.Index(args, "--hashlimit-name"); j >= 0 && j+1 < len(args) {
			if args[j+1] = d.freeName(args[j+1]); args[j+1] == "" {
				return ""
			}
		}
		return d.iptablesCommand("-R", r.Chain, append([]string{fmt.Sprint(r.Number)}, args...)...)
	}, func(statement string) string {
		if len(nftLimit.FindAllString(statement, 2)) != 1 {
			return ""
		}
		statement = nftLimit.ReplaceAllString(statement, "$1$2 LIMIT")
		return d.nftCommand("replace", r.Chain, fmt.Sprintf("handle %d", r.Handle), statement)
	})}
	if own := elementLimit.FindStringSubmatch(d.text(r)); own != nil && r.Chain.Table.Engine == ruleset.NFTables {
		commands = append(commands, d.deleteElement(r.Chain.Table, own[1], own[2]))
	}
	return strings.Join(d.c.Namespace.all(commands), " && ")
}

// freeName is another one for a table of hashlimit; "" where none is found. A rule
// whose table is there already takes it as it is, with the old limit (htable_find_get
// in xt_hashlimit.c). Names have at most 15 characters.
func (d *diagnosis) freeName(old string) string {
	for n := '2'; n <= '9'; n++ {
		name := old[:min(len(old), 14)] + string(n)
		if !d.limitedBy(" --hashlimit-name " + name + " ") {
			return name
		}
	}
	return ""
}

// limitedBy reports whether a rule of the namespace has such words in a hashlimit.
func (d *diagnosis) limitedBy(words string) bool {
	for r := range d.rules() {
		for _, o := range shapeOf(r).doubts {
			if o.Kind == "hashlimit" && strings.Contains(o.Text+" ", words) {
				return true
			}
		}
	}
	return false
}

// deleteElement forgets the sender: elements that are there keep their limit.
func (d *diagnosis) deleteElement(t *ruleset.Table, set, family string) string {
	if family != d.f.family() {
		return ""
	}
	return d.nftElement("delete", t, set, d.f.Source.String())
}
