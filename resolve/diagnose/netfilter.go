package diagnose

import (
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// netfilter tells drops by rules and policies. The first cause that is proven is
// the answer; others are added where both are true of one packet.
func (d *diagnosis) netfilter() []drop.Why {
	if d.c.Place.Base == nil || d.c.Verdict != "drop" && d.c.Verdict != "reject" {
		return nil
	}
	if w := d.banned(); w != nil {
		return w
	}
	if !d.agrees {
		return nil
	}
	for _, cause := range []func() []drop.Why{
		d.noEndpoints, d.staleHere, d.docker, d.blocked, d.listed, d.icmpBlocked, d.scanned, d.invalid, d.extensionHeader, d.neighbours, d.untracked, d.established, d.strange, d.otherSender, d.rateLimit, d.acceptBelow,
		d.dropSet, d.dropMap, d.forged, d.marked, d.excepted, d.proven, d.narrow,
	} {
		if whys := cause(); len(whys) > 0 {
			return d.survive(d.bothWays(append(whys, d.managers()...)))
		}
	}
	if !d.byDefault() || !d.f.ip() {
		return nil
	}
	if w := d.withoutHelper(); w != nil {
		return w
	}
	whys := d.destinationNAT()
	if w := d.nearly(); len(w) > 0 {
		whys = append(whys, w...)
	} else if w := d.otherFamily(); len(w) > 0 {
		whys = append(whys, w...)
	} else if len(whys) == 0 {
		whys = d.nothingAccepts()
	}
	return d.survive(d.bothWays(append(whys, d.managers()...)))
}

// text is a rule as its own tool prints it, "" where that is not known.
func (d *diagnosis) text(r *ruleset.Rule) string {
	if r.Text == "" && d.c.Text != nil {
		return d.c.Text(r)
	}
	return r.Text
}

// again writes a rule anew from its own text.
func (d *diagnosis) again(r *ruleset.Rule, iptables func([]string) string, nft func(string) string) string {
	text := d.text(r)
	if r.Chain.Table.Engine == ruleset.NFTables {
		if statement, ok := NFTStatement(r, text); ok {
			return nft(statement)
		}
		return ""
	}
	if args, ok := IPTablesArgs(r, text); ok {
		return iptables(args)
	}
	return ""
}

// NFTStatement is a rule as nft reads it, from its text as nft lists it.
func NFTStatement(r *ruleset.Rule, text string) (statement string, ok bool) {
	if text == "" {
		return "", false
	}
	return nftStatement(text, r.Comment)
}

// IPTablesArgs are the arguments of a rule behind its chain's name, without its
// comment, from its text as iptables-save prints it. ok is false where one would be
// read as an option of the command itself: names that a rule holds are printed as
// they are, and --modprobe runs a program.
func IPTablesArgs(r *ruleset.Rule, text string) (args []string, ok bool) {
	args, err := splitSaved(text)
	if err != nil || len(args) < 3 || args[0] != "-A" || args[1] != r.Chain.Name {
		return nil, false
	}
	args = dropOption(args[2:], "--comment")
	return args, !slices.ContainsFunc(args, commandOption)
}

// commandOption reports whether iptables takes the word for an option of the
// command: those of rules, matches and targets are long ones but for a few. getopt
// takes --modprobe by its beginning, too.
func commandOption(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(word, "--"):
		return strings.HasPrefix("--modprobe", name) || strings.HasPrefix("--table", name)
	case !strings.HasPrefix(word, "-"):
		return false
	}
	switch word {
	case "-s", "-d", "-i", "-o", "-p", "-f", "-m", "-j", "-g", "-4", "-6":
		return false
	}
	return len(word) == 1 || word[1] < '0' || word[1] > '9' // -1 is a value
}

// dropOption takes an option with its value out of iptables' arguments, and the
// match that it came with.
func dropOption(args []string, option string) []string {
	i := slices.Index(args, option)
	if i < 0 || i+1 >= len(args) {
		return args
	}
	out := slices.Delete(slices.Clone(args), i, i+2)
	if i >= 2 && out[i-2] == "-m" && out[i-1] == strings.TrimPrefix(option, "--") {
		out = slices.Delete(out, i-2, i)
	}
	return out
}

// reachable are the rules of a base chain and of all that it leads to.
func reachable(base *ruleset.Chain) []*ruleset.Rule {
	seen := map[*ruleset.Chain]bool{base: true}
	queue := []*ruleset.Chain{base}
	var out []*ruleset.Rule
	for len(queue) > 0 {
		c := queue[0]
		queue = queue[1:]
		for _, r := range c.Rules {
			out = append(out, r)
			for _, t := range targets(r) {
				if !seen[t] {
					seen[t] = true
					queue = append(queue, t)
				}
			}
		}
	}
	return out
}

// ruleName is how messages call a rule; its table is told where it is not that
// of the drop.
func (d *diagnosis) ruleName(r *ruleset.Rule) string {
	return d.placeName(replay.Place{Chain: r.Chain, Rule: r})
}

func (d *diagnosis) placeName(p replay.Place) string {
	where := p.Chain.Name
	if place := d.c.Place; place.Chain == nil || p.Chain.Table != place.Chain.Table {
		where = p.Chain.FullName()
	}
	owner := ""
	if o := ownerOf(p.Chain, p.Rule); o != "" {
		owner = possessive(string(o)) + " "
	}
	switch {
	case p.Rule != nil && p.Chain.Table.Engine == ruleset.NFTables:
		return owner + where + " " + p.Rule.Place()
	case p.Rule != nil: // iptables knows no handles
		return owner + where + " " + ruleset.PlaceName(p.Rule.Number, 0, " ")
	case owner == "":
		owner = "the "
	}
	return owner + where + " policy"
}

func possessive(s string) string {
	if strings.HasSuffix(s, "s") {
		return s + "'"
	}
	return s + "'s"
}
