package resolve

import (
	"context"
	"fmt"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/event"
)

// replays are a namespace's rules as they are replayed. A flood of drops whose
// rule is not known must not lose drops to replaying them: cost bounds it.
type replays struct {
	of       *model.Model
	firewall *replay.Firewall
	cost     share
	// changed is when the rules were last seen to be others than before: what
	// dropped before then is not replayed.
	changed time.Time
}

// replayed asks the ruleset which rule can have dropped a packet whose rule the
// kernel side did not tell. The rules may have been others at the drop, so that
// the answer is never more than probable.
func (r *Resolver) replayed(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	if !replayable(e, d) || !n.replays.cost.affords(r.now()) {
		return
	}
	start := r.now()
	places, ok := r.replay(ctx, n, e, d)
	n.replays.cost.spent += r.now().Sub(start)
	if !ok || len(places) == 0 {
		return
	}
	m := n.replays.of
	rules := make([]drop.Rule, 0, len(places))
	for _, p := range places {
		rules = append(rules, r.placed(n, m, p))
	}
	d.Attribution.Method = "replay"
	if len(rules) > 1 {
		d.Attribution.Candidates = rules
		return // Unknown: Note says why
	}
	d.Cause, d.Rule = "rule", &rules[0]
	d.Attribution.Certainty = drop.Probable
	d.Attribution.Note = "it is the only rule of the ruleset that can have dropped this packet"
	switch p := places[0]; {
	case d.Verdict == queueFailed:
		d.Attribution.Note = "it is the only rule of the ruleset that can have queued this packet"
	case p.Rule == nil:
		d.Cause = "policy"
		d.Attribution.Note = "no other rule or policy of the ruleset can have dropped this packet"
	case p.Rule.Rejects:
		d.Verdict = "reject"
	}
}

// replayable: netfilter dropped it where rules stand, and which of them is all
// that is not known.
func replayable(e *event.Event, d *drop.Drop) bool {
	if d.Attribution.Certainty != drop.Unknown || e.Hook == event.NoHook {
		return false
	}
	if e.Flags&(event.XTStale|event.XTUntracked) != 0 {
		return false // a legacy table that is new, or was replaced nobody knows when
	}
	return d.Verdict == queueFailed || d.Verdict == "drop" &&
		(d.Cause == "rule" || d.Cause == "hook" && evaluatesRules(d.Function))
}

// replay gives the places that can have dropped the packet; ok is false where
// there may be others.
func (r *Resolver) replay(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) (places []replay.Place, ok bool) {
	// Legacy tables have no generation: those watched at the drop are those read.
	if !r.current(ctx, n) || !d.Time.After(n.replays.changed) || len(n.xt) > 0 && !d.Time.After(n.xtRead) {
		return nil, false
	}
	m := r.readModel(n, MaxHold)
	if m == nil {
		return nil, false
	}
	if n.replays.of != m {
		n.replays.of, n.replays.firewall = m, m.Firewall()
	}
	result := r.replayHook(n, n.replays.firewall, e, d)
	if result.Capped {
		return nil, false
	}
	for _, p := range result.Candidates {
		if fits(p, d.Rule) && (p.Rule == nil || p.Rule != r.denied) && (d.Verdict != queueFailed || p.Rule != nil && p.Rule.Queues) {
			places = append(places, p)
		}
	}
	return places, true
}

// replayHook evaluates the rules of the hook that dropped the packet.
func (r *Resolver) replayHook(n *namespace, f *replay.Firewall, e *event.Event, d *drop.Drop) *replay.Result {
	c := r.caseOf(n, e, d)
	if e.CT.Present == event.CTAbsent {
		// Rules see a packet without a connection as invalid, before conntrack
		// as behind it.
		c.Packet.Conntrack = replay.Conntrack{State: ruleset.CTInvalid}
	}
	p := f.Before(c.Hook, c.Packet)
	return f.At(c.Hook, &p, c.Environment, replay.Options{})
}

// current makes sure that the nftables rules read are those that the namespace
// has now.
func (r *Resolver) current(ctx context.Context, n *namespace) bool {
	if n.handle == nil {
		return false
	}
	generation, err := nftables.Generation(ctx, n.handle)
	if err != nil {
		return false
	}
	if n.nft != nil && n.nft.Ruleset().Generation == generation {
		return true
	}
	known := n.nft != nil
	ok, _ := r.readNFT(n)
	if known {
		n.replays.changed = r.now()
	}
	return ok && !known
}

// fits holds a place against what the kernel side knows of the rule.
func fits(p replay.Place, known *drop.Rule) bool {
	if known == nil {
		return true
	}
	t := p.Base.Table
	return t.Family == known.Family && t.Name == known.Table &&
		(t.Engine == ruleset.IPTablesLegacy) == (known.Engine == string(ruleset.IPTablesLegacy)) &&
		(known.BaseChain == "" || known.BaseChain == p.Base.Name)
}

// placed names a place.
func (r *Resolver) placed(n *namespace, m *model.Model, p replay.Place) drop.Rule {
	out := RuleOf(p)
	if p.Rule == nil {
		return *out
	}
	if out.Text = r.modelText(n, m, p.Rule); out.Text == "" {
		out.TextMissing = fmt.Sprintf("%s %s could not be read again", p.Chain.Name, p.Rule.Place())
	}
	return *out
}
