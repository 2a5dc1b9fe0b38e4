package resolve

import (
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/tracer/event"
)

// agreed is whether the rules leave but one answer, for packets that were asked
// about.
type agreed struct {
	known map[whyKey]agreement
	cost  share
}

type agreement struct {
	only bool
	at   time.Time
}

// agree makes answers probable that another packet's count may have given, unless
// the rules leave no other.
//
// ipt_do_table counts a packet with softirqs off, but nf_hook_slow frees it with
// them on again. Where packets are sent, the task may have moved to another CPU in
// between, and two that change places find each other's count: of one packet, and of
// as many bytes. What the kernel sends by itself it sends in softirqs, which stay on
// their CPU, but for those of a real-time kernel.
func (r *Resolver) agree(n *namespace, e *event.Event, d *drop.Drop) {
	if d.Attribution.Certainty != drop.Certain || r.named.chain == nil || !r.mayMove(e) {
		return
	}
	if r.onlyAnswer(n, e, d) {
		return
	}
	d.Attribution.Certainty = drop.Probable
	d.Attribution.Note = "another packet may have been counted at the same moment, and other rules could have dropped this one"
	r.at = replay.Place{}
}

// mayMove reports whether the answer rests on what this CPU alone noted, and the
// packet's way may have begun on another.
func (r *Resolver) mayMove(e *event.Event) bool {
	switch e.Rule.Method {
	case event.MethodXTCounter, event.MethodXTFresh, event.MethodPolicyRest:
		return r.preempted(e)
	case event.MethodNFTExpression:
		// Kretprobes know by this CPU which call they end (see pending.h).
		return r.Realtime
	}
	return false
}

// preempted reports whether the packet may have been on another CPU when it was
// counted: where its task sends it, or anywhere in a real-time kernel.
func (r *Resolver) preempted(e *event.Event) bool {
	if r.Realtime {
		return true
	}
	hook := netfilter.HookName(e.PF, uint32(e.Hook))
	return e.Flags&event.Task != 0 && (hook == "output" || hook == "postrouting")
}

// onlyAnswer reports whether the rule or policy that the drop names is all that can
// have dropped its packet.
func (r *Resolver) onlyAnswer(n *namespace, e *event.Event, d *drop.Drop) bool {
	m := n.ownModel(r, e)
	if m == nil {
		return false
	}
	key, now, a := r.whyKey(n, e, d), r.now(), &n.guards.agreed
	if k, ok := a.known[key]; ok && now.Sub(k.at) < whyLives {
		return k.only
	}
	if !a.cost.affords(now) {
		return false
	}
	only := r.leaves(n, m, e, d)
	if a.known == nil || len(a.known) >= maxWhys {
		a.known = make(map[whyKey]agreement)
	}
	end := r.now()
	a.known[key] = agreement{only, end}
	a.cost.spent += end.Sub(now)
	return only
}

// leaves replays the packet: nothing but what the drop names can have dropped it.
func (r *Resolver) leaves(n *namespace, m *model.Model, e *event.Event, d *drop.Drop) bool {
	at := replay.Place{Chain: m.Chain(r.named.chain)}
	if r.named.rule != nil {
		if at.Rule = n.guards.ruleOf(r.named.rule); at.Rule == nil {
			return false
		}
	}
	result := r.replayHook(n, m.Firewall(), e, d)
	for _, p := range result.Candidates {
		if p.Chain != at.Chain || p.Rule != at.Rule {
			return false
		}
	}
	return !result.Capped && len(result.Candidates) > 0
}
