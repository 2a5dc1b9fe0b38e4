package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// otherSender tells an accept that is bound to a user or group: all else of it held,
// and the packet came to the drop behind it, so its socket is not theirs. Whose it
// is, the packet does not say by itself.
func (d *diagnosis) otherSender() []drop.Why {
	if hook := d.c.Place.Base.Hook; hook != "output" && hook != "postrouting" {
		return nil
	}
	for i := range d.steps() {
		step := &d.result.Steps[i]
		if step.Base != d.c.Place.Base || step.Rule == nil || step.Rule == d.c.Place.Rule || step.Truth == replay.Yes || step.Reached != replay.Yes {
			continue
		}
		m := single(step.At)
		s := shapeOf(step.Rule)
		if m == nil || !looksAt(m, ruleset.SocketUID, ruleset.SocketGID) || !s.is(ruleset.Accept) || s.odd || len(s.doubts) > 0 {
			continue
		}
		s.conditions = slices.DeleteFunc(s.conditions, func(c ruleset.Statement) bool { return c == step.At })
		if !d.holds(&s) {
			continue
		}
		w := drop.Why{Code: drop.WhyOwnerMismatch, Message: fmt.Sprintf("%s accepts it only with %s, and its sender is %s",
			d.ruleName(step.Rule), m.Text, d.sentBy(m))}
		if !m.Negate {
			w.Fix = d.alsoFor(step.Rule, step.At)
		}
		if w.Fix != "" && d.c.Packet.UID < 0 {
			w.Message += "; choose the ID that may send it"
		}
		return []drop.Why{w}
	}
	return nil
}

func (d *diagnosis) sentBy(m *ruleset.Match) string {
	id, kind := d.c.Packet.UID, "user"
	if looksAt(m, ruleset.SocketGID) {
		id, kind = d.c.Packet.GID, "group"
	}
	if id >= 0 {
		return fmt.Sprintf("%s %d", kind, id)
	}
	return "another " + kind + " or the kernel itself"
}

var (
	ownerOption = []string{"--uid-owner", "--gid-owner"}
	nftOwner    = regexp.MustCompile(`\bmeta (skuid|skgid) ("[^"]*"|[a-z0-9_-]+)`)
)

// alsoFor is the command for a copy of the rule for another user, before it.
func (d *diagnosis) alsoFor(r *ruleset.Rule, step ruleset.Statement) string {
	if ownerOf(r.Chain, r) != "" || !d.accepts(d.relaxed(r, step).rulesets, &d.c.Packet) {
		return ""
	}
	id := "ID"
	if d.c.Packet.UID >= 0 {
		id = strconv.Itoa(d.c.Packet.UID)
	}
	index := slices.Index(r.Chain.Rules, r)
	return d.c.Namespace.in(d.again(r, func(args []string) string {
		i := slices.IndexFunc(args, func(a string) bool { return slices.Contains(ownerOption, a) })
		if i < 0 || i+1 >= len(args) {
			return ""
		}
		args[i+1] = id
		return d.iptablesInsert(r.Chain, index, args)
	}, func(statement string) string {
		if len(nftOwner.FindAllString(statement, 2)) != 1 {
			return ""
		}
		return d.nftInsert(r.Chain, index, nftOwner.ReplaceAllString(statement, "meta $1 "+id))
	}))
}
