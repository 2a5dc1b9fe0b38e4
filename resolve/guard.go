package resolve

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/event"
)

// Issues is where a fault of droptrace is reported.
const Issues = "https://github.com/droptrace/droptrace/issues"

// guards hold the rules of one namespace against the packets that they dropped.
type guards struct {
	of    *model.Model
	guard *replay.Guard
	// own are the model's own of the rules that drops name.
	own    map[*ruleset.Rule]*ruleset.Rule
	agreed agreed
}

type place struct {
	chain *ruleset.Chain
	rule  *ruleset.Rule // nil for a policy
}

// Contradicted is how many drops named a rule for certain that the packet's own
// bytes contradict. Each is a fault of droptrace. It may be called at any time.
func (r *Resolver) Contradicted() uint64 { return r.contradicted.Load() }

// guard takes back the rule of a drop whose packet the rule cannot have matched. The
// rules may tell then which other it was.
func (r *Resolver) guard(n *namespace, e *event.Event, d *drop.Drop) {
	if r.named.chain == nil || d.Attribution.Certainty == drop.Unknown || !guardable(e) {
		return
	}
	hook := replay.Hook{Family: netfilter.FamilyName(e.PF), Name: d.Hook}
	if (replay.MayCall(r.named.chain, hook) || !hookCertain(e)) && !r.contradicts(n, e, d, hook) {
		return
	}
	method := d.Attribution.Method
	// That of a packet whose count may be another's is no fault: see agree.
	if d.Attribution.Certainty == drop.Certain && !r.mayMove(e) {
		r.fault = method
	}
	d.Cause, d.Verdict, d.Rule = "rule", "drop", nil
	d.Attribution = drop.Attribution{Certainty: drop.Unknown, Method: method,
		Note: "the rule that " + method + " found does not match this packet"}
	r.at = replay.Place{}
}

// reportFault counts a contradiction, once for a drop that is tried several times.
func (r *Resolver) reportFault() {
	if r.fault == "" || r.pending {
		return
	}
	r.contradicted.Add(1)
	r.notify(fmt.Sprintf("a fault of droptrace: %s named a rule that the packet does not match, so the rule is not shown; please report it at %s with the drop as --json prints it, and the ruleset", r.fault, Issues))
}

// contradicts holds the rule that a drop names against its packet.
func (r *Resolver) contradicts(n *namespace, e *event.Event, d *drop.Drop, h replay.Hook) bool {
	if r.named.rule == nil {
		return false // a policy takes any packet
	}
	if n.ownModel(r, e) == nil {
		return false
	}
	rule := n.guards.ruleOf(r.named.rule)
	if rule == nil {
		return false
	}
	p := guardPacket(e, d)
	if n.guards.guard.Contradicts(h, rule, &p) == nil {
		return false
	}
	r.denied = rule
	return true
}

// guardable: the record has the packet itself.
func guardable(e *event.Event) bool {
	return e.Type == event.Drop && e.Hook != event.NoHook &&
		e.Flags&(event.Headerless|event.TupleOnly|event.HeadFrags) == 0
}

// hookCertain: hook and interfaces are the kernel's own, and not what was found by
// searching a frame that calibration never saw.
func hookCertain(e *event.Event) bool {
	return e.Flags&event.HookProbe != 0 || e.Flags&(event.HookFrame|event.Uncalibrated) == event.HookFrame
}

// guardPacket is the packet with what it takes to hold a rule against it.
func guardPacket(e *event.Event, d *drop.Drop) replay.Packet {
	p := replay.Packet{EtherType: e.Protocol, Bytes: e.Packet()}
	if !hookCertain(e) {
		return p
	}
	p.In, p.Out = replay.Interface{Known: true}, replay.Interface{Known: true}
	if d.In != nil {
		p.In.Index, p.In.Name = d.In.Index, d.In.Name
	}
	if d.Out != nil {
		p.Out.Index, p.Out.Name = d.Out.Index, d.Out.Name
	}
	return p
}

// ownModel is the model of the rules that the drop was named by; nil where they are
// not read, or are others by now. An answer that is certain only by it waits for it.
func (n *namespace) ownModel(r *Resolver, e *event.Event) *model.Model {
	patience := modelWait
	if r.mayMove(e) {
		patience = MaxHold
	}
	m := r.readModel(n, patience)
	if m == nil {
		return nil
	}
	if n.guards.of != m {
		n.guards = guards{of: m, guard: m.Firewall().Guard(), own: make(map[*ruleset.Rule]*ruleset.Rule)}
	}
	// Reading may have replaced legacy tables, whose rules have nothing but their
	// place to be told by.
	if e.Rule.Kind == event.RuleXT {
		if t, _ := xtEntry(n, e); t == nil || t.Table != r.named.chain.Table {
			return nil
		}
	}
	return m
}

// ruleOf is the model's own of a rule, nil where it has none.
func (g *guards) ruleOf(rule *ruleset.Rule) *ruleset.Rule {
	own, known := g.own[rule]
	if !known {
		own = g.of.Rule(rule)
		g.own[rule] = own
	}
	return own
}
