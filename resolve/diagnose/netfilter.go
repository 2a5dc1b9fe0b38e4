package diagnose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

// netfilter tells drops by rules and policies. The first cause that is proven is
// the answer; others are added where both are true of one packet.
func (d *diagnosis) netfilter() []Why {
	if d.c.Place.Base == nil || d.c.Verdict != "drop" && d.c.Verdict != "reject" {
		return nil
	}
	if w := d.banned(); w != nil {
		return w
	}
	if !d.agrees {
		return nil
	}
	for _, cause := range []func() []Why{
		d.blocked, d.scanned, d.invalid, d.established, d.rateLimit, d.acceptBelow, d.dropSet, d.dropMap,
	} {
		if whys := cause(); len(whys) > 0 {
			return append(whys, d.managers()...)
		}
	}
	if !d.byDefault() || !d.f.ip() {
		return nil
	}
	whys := d.destinationNAT()
	if w := d.nearly(); len(w) > 0 {
		whys = append(whys, w...)
	} else if w := d.otherFamily(); len(w) > 0 {
		whys = append(whys, w...)
	} else if len(whys) == 0 {
		whys = d.nothingAccepts()
	}
	return append(whys, d.managers()...)
}

// acceptBelow finds the accept that the packet would have come to, had the drop
// not stood before it.
func (d *diagnosis) acceptBelow() []Why {
	drop := d.c.Place.Rule
	if drop == nil {
		return nil
	}
	e := d.without(drop)
	below := d.acceptedBy(e.rulesets, e.now(d.c.Place.Base), &d.c.Packet)
	if below == nil {
		return nil
	}
	below = e.known(below)
	w := Why{Code: AcceptBelowDrop, Message: fmt.Sprintf("%s would accept it, but stands below %s",
		d.ruleName(below), d.ruleName(drop))}
	if m := stateMatchOf(below); m != nil && d.inConnection() {
		w.Code = EstablishedBelowDrop
		w.Message = fmt.Sprintf("it belongs to an open connection, and %s, which accepts those, stands below %s",
			d.ruleName(below), d.ruleName(drop))
	}
	w.Fix = d.moved(below)
	return []Why{w}
}

// moved is the command for a copy of a rule in front of the drop. The copy keeps
// all that the rule asks; what leads to the rule must lead to the copy, too.
func (d *diagnosis) moved(r *ruleset.Rule) string {
	switch ownerOf(d.c.Place.Chain, d.c.Place.Rule) {
	case "", Docker, Libvirt, Podman:
	default:
		if s, ok := specOf(&d.f, d.c.Hook.Name); ok {
			return d.fix(s)
		}
		return ""
	}
	index, ok := d.jumpIn(r.Chain)
	if !ok {
		return ""
	}
	copied := *r
	if !d.accepts(d.inserted(d.c.Rulesets, r.Chain, index, &copied).rulesets, &d.c.Packet) {
		return ""
	}
	return d.c.Namespace.in(d.again(r, func(args []string) string {
		return d.iptablesInsert(r.Chain, index, args)
	}, func(statement string) string {
		return d.nftInsert(r.Chain, index, statement)
	}))
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
	if text == "" {
		return ""
	}
	if r.Chain.Table.Engine == ruleset.NFTables {
		if statement, ok := nftStatement(text, r.Comment); ok {
			return nft(statement)
		}
		return ""
	}
	args, err := splitSaved(text)
	if err != nil || len(args) < 3 || args[0] != "-A" || args[1] != r.Chain.Name {
		return ""
	}
	return iptables(dropOption(args[2:], "--comment"))
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

// established tells packets of open connections that nothing lets through.
func (d *diagnosis) established() []Why {
	if !d.inConnection() {
		return nil
	}
	if w := d.acceptBelow(); len(w) > 0 && w[0].Code == EstablishedBelowDrop {
		return w
	}
	if !d.byDefault() {
		return nil
	}
	for _, r := range reachable(d.c.Place.Base) {
		if s := shapeOf(r); stateMatchOf(r) != nil && s.is(ruleset.Accept) && d.stateHolds(&s) {
			return nil // there is one: it asks for something else
		}
		if acceptsState(r) {
			return nil
		}
	}
	kind := "open connection"
	if d.c.Packet.Conntrack.State == ruleset.CTRelated {
		kind = "connection related to an open one"
	}
	what := "a packet"
	if ct := &d.c.Packet.Conntrack; ct.Entry && ct.Direction == 1 {
		what = "an answer"
	}
	s := spec{family: d.f.family(), established: true}
	return []Why{{
		Code: EstablishedNotAccepted,
		Message: fmt.Sprintf("it is %s of an %s, and no rule of %s accepts established,related before %s",
			what, kind, d.c.Place.Base.Name, d.placeName(d.c.Place)),
		Fix: d.fixFirst(s),
	}}
}

// fixFirst puts the rule at the head of the base chain, where rules for the
// state belong.
func (d *diagnosis) fixFirst(s spec) string {
	base := d.c.Place.Base
	switch ownerOf(d.c.Place.Chain, d.c.Place.Rule) {
	case "", Docker, Libvirt, Podman:
	default:
		return ""
	}
	if !d.accepts(d.inserted(d.c.Rulesets, base, 0, s.rule(base)).rulesets, &d.c.Packet) {
		return ""
	}
	return d.c.Namespace.in(d.byHand(base, 0).command(&s))
}

// inConnection reports whether conntrack knows the packet as one of an open
// connection, or related to one.
func (d *diagnosis) inConnection() bool {
	s := d.c.Packet.Conntrack.State
	return s == ruleset.CTEstablished || s == ruleset.CTRelated
}

// stateMatchOf is the rule's match on conntrack's state.
func stateMatchOf(r *ruleset.Rule) *ruleset.Match {
	s := shapeOf(r)
	return s.has(ruleset.CTState)
}

func (d *diagnosis) stateHolds(s *shape) bool {
	m := s.has(ruleset.CTState)
	return m != nil && d.match(m) == replay.Yes
}

// acceptsState reports whether the rule is a map from states to verdicts, as
// nft's `ct state vmap { established : accept }`.
func acceptsState(r *ruleset.Rule) bool {
	for _, s := range r.Statements {
		if m, ok := s.(*ruleset.VerdictMap); ok && slices.Contains(m.Fields, ruleset.CTState) {
			return true
		}
	}
	return false
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
	t := p.Chain.Table
	if place := d.c.Place; place.Chain != nil && t != place.Chain.Table {
		where = string(t.Engine) + " " + t.Name + " " + where
		if t.Engine == ruleset.NFTables {
			where = "nft " + t.Family + " " + t.Name + " " + p.Chain.Name
		}
	}
	owner := ""
	if o := ownerOf(p.Chain, p.Rule); o != "" {
		owner = possessive(string(o)) + " "
	}
	if p.Rule == nil {
		if owner != "" {
			return owner + "policy of " + where
		}
		return "the policy of " + where
	}
	name := owner + "rule " + strconv.Itoa(p.Rule.Number) + " of " + where
	if p.Rule.Handle != 0 && t.Engine == ruleset.NFTables {
		name += " (handle " + strconv.FormatUint(p.Rule.Handle, 10) + ")"
	}
	return name
}

func possessive(s string) string {
	if strings.HasSuffix(s, "s") {
		return s + "'"
	}
	return s + "'s"
}
