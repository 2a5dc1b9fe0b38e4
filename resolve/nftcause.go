package resolve

import (
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/event"
)

// nftAt reads the ruleset that an event speaks of: again where the event's
// generation, or that of what it names, is not the snapshot's. current reports
// whether the snapshot is of it, or where drops do not tell a generation not older
// than the drop; changing, that it was not read since it changes too fast.
func (r *Resolver) nftAt(ctx context.Context, n *namespace, e *event.Event) (current, changing bool) {
	if n.nft != nil && r.isCurrent(ctx, n, e) {
		return true, false
	}
	ok, changing := r.readNFT(n)
	return ok && r.isCurrent(ctx, n, e), changing
}

func (r *Resolver) isCurrent(ctx context.Context, n *namespace, e *event.Event) bool {
	if e.Rule.Generation == 0 {
		return n.stillNFT(ctx, e)
	}
	return e.Rule.Generation == n.nft.Ruleset().Generation
}

// removed says why a rule or chain that the kernel named is not in the ruleset.
func removed(n *namespace, what string, changing bool) string {
	if changing {
		return "the ruleset changes too fast to be read"
	}
	return missing(n, "the "+what+" was removed since")
}

// nftRule names a rule by the handles of its table and of itself: both are
// unique as long as the table lives, and a rule never changes its content.
func (r *Resolver) nftRule(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	d.Cause, d.Attribution.Method = "rule", methodName(e.Rule.Method)
	if e.Rule.TableHandle == 0 {
		r.nftByHandle(ctx, n, e, d)
		return
	}
	current, changing := r.nftAt(ctx, n, e)
	snapshot := n.nft
	rule, ok := lookupRule(snapshot, e)
	if !ok {
		d.Rule = nftNames(n, e)
		d.Rule.Handle = e.Rule.RuleHandle
		d.Rule.TextMissing = removed(n, "rule", changing)
		rejectByProbe(e, d)
		if d.Verdict == "drop" {
			// Frame and expression say which rule, and not what the rule did: REJECT of
			// iptables-nft is a target as others are.
			d.Attribution.Certainty = drop.Probable
			d.Attribution.Note = "whether it drops or rejects is not known"
		}
		return
	}
	if e.Rule.Method == event.MethodNFTFrame && !rule.CanDrop && current {
		d.Attribution = drop.Attribution{Certainty: drop.Unknown, Method: d.Attribution.Method,
			Note: "where the rule should be the kernel had one that does not drop"}
		return
	}
	r.named = place{rule.Chain, rule}
	if rule.Rejects || e.Rule.Reject != 0 {
		d.Verdict = "reject"
	}
	// A rule is the same by any generation; its neighbours need not be.
	key := placeKey{rule.Chain, rule, d.Hook, current}
	if known, ok := n.described[key]; ok {
		d.Rule, r.at = known.rule, known.at
		return
	}
	bases := snapshot.Bases(rule.Chain)
	d.Rule = describe(rule.Chain, bases, d.Hook)
	d.Rule.Handle = rule.Handle
	if current {
		d.Rule.Number = rule.Number
		r.at = replay.Place{Chain: rule.Chain, Rule: rule, Base: baseOf(bases, d.Hook)}
	}
	r.nftText(n, snapshot, rule, d)
	if d.Rule.TextMissing == "" { // else the next drop may get its text
		remember(&n.described, key, described{d.Rule, r.at})
	}
}

func rejectByProbe(e *event.Event, d *drop.Drop) {
	if e.Rule.Reject != 0 {
		d.Verdict = "reject"
	}
}

func lookupRule(s *nftables.Snapshot, e *event.Event) (*ruleset.Rule, bool) {
	if s == nil {
		return nil, false
	}
	return s.Rule(e.Rule.TableHandle, e.Rule.RuleHandle)
}

func (r *Resolver) nftText(n *namespace, s *nftables.Snapshot, rule *ruleset.Rule, d *drop.Drop) {
	text, err := r.textOf(n, s, rule)
	d.Rule.Text = text
	switch {
	case errors.Is(err, nftables.ErrChanged):
		d.Rule.TextMissing = "the ruleset changed since"
	case err != nil:
		d.Rule.TextMissing = textMissing(err)
	}
}

// missing says why a rule that the kernel named is not in the ruleset read.
func missing(n *namespace, otherwise string) string {
	if n.nftErr != nil {
		return n.nftErr.Error()
	}
	if n.err != nil {
		return n.err.Error()
	}
	return otherwise
}

// nftNames is what the kernel side itself read of a rule's surroundings. Which
// program made the table only a ruleset tells: the last one that had it.
func nftNames(n *namespace, e *event.Event) *drop.Rule {
	out := &drop.Rule{
		Engine: string(ruleset.NFTables), Family: netfilter.FamilyName(e.Rule.Family),
		Table: event.Text(e.Rule.Table[:]), Chain: event.Text(e.Rule.Chain[:]),
	}
	if n.nft == nil {
		return out
	}
	for _, t := range n.nft.Ruleset().Tables {
		if t.Family == out.Family && t.Name == out.Table {
			out.Engine = string(t.Engine)
		}
	}
	return out
}

// nftByHandle serves kernels where the rule's chain could not be found: the
// handle alone names it if only one rule of this hook that can drop has it.
func (r *Resolver) nftByHandle(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	current, _ := r.nftAt(ctx, n, e)
	snapshot := n.nft
	if snapshot == nil {
		d.Attribution = drop.Attribution{Certainty: drop.Unknown, Note: missing(n, "the ruleset could not be read")}
		return
	}
	rules := snapshot.Candidates(nftables.HookAt(e.PF, uint32(e.Hook), ""), e.Rule.RuleHandle)
	for _, rule := range rules {
		c := describe(rule.Chain, snapshot.Bases(rule.Chain), d.Hook)
		if c.Handle = rule.Handle; current {
			c.Number = rule.Number
		}
		d.Attribution.Candidates = append(d.Attribution.Candidates, *c)
	}
	switch len(rules) {
	case 0:
		d.Attribution = drop.Attribution{Certainty: drop.Unknown, Note: fmt.Sprintf(
			"the rule with handle %d was removed since", e.Rule.RuleHandle)}
	case 1:
		d.Rule, d.Attribution.Candidates = &d.Attribution.Candidates[0], nil
		d.Attribution.Certainty = drop.Probable
		r.nftText(n, snapshot, rules[0], d)
	default:
		d.Attribution.Certainty = drop.Probable
		d.Attribution.Note = "several tables have a rule with this handle"
	}
}

func (r *Resolver) nftPolicy(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	d.Cause, d.Attribution.Method = "policy", methodName(e.Rule.Method)
	if e.Rule.Method == event.MethodPolicyRest &&
		(r.ProbesComplete == nil || !r.ProbesComplete(d.Time)) {
		d.Attribution.Certainty = drop.Probable
		d.Attribution.Note = "a module was loaded about then whose rules had no probe yet"
	} else if e.Flags&event.EvalUnseen != 0 {
		d.Attribution.Certainty = drop.Probable
		d.Attribution.Note = "a probe missed the end of an expression just then"
	}
	_, changing := r.nftAt(ctx, n, e)
	var chain *ruleset.Chain
	ok := n.nft != nil
	if ok {
		chain, ok = n.nft.Chain(e.Rule.TableHandle, e.Rule.ChainHandle)
	}
	if !ok {
		d.Rule = nftNames(n, e)
		d.Rule.TextMissing = removed(n, "chain", changing)
		d.Rule.Policy = "drop"
		return
	}
	r.at, r.named = replay.Place{Chain: chain, Base: chain}, place{chain: chain}
	key := placeKey{chain: chain, hook: d.Hook}
	if known, ok := n.described[key]; ok {
		d.Rule = known.rule
		return
	}
	d.Rule = describe(chain, []*ruleset.Chain{chain}, d.Hook)
	d.Rule.Policy = "drop"
	remember(&n.described, key, described{d.Rule, r.at})
}
