package resolve

import (
	"context"
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/event"
)

// queueFailed is the verdict where a rule gave the packet to an NFQUEUE and nobody
// took it from there.
const queueFailed = "queue_failed"

// resolveCause fills in cause, verdict, rule and attribution.
func (r *Resolver) resolveCause(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	switch e.Rule.Kind {
	case event.RuleNFT:
		r.nftRule(ctx, n, e, d)
	case event.RuleNFTPolicy:
		r.nftPolicy(ctx, n, e, d)
	case event.RuleXT:
		r.xtRule(ctx, n, e, d)
	case event.RuleHook:
		d.Cause, d.Attribution.Method = "hook", "hook"
		d.Function = r.hookFunction(e.HookFn)
		if evaluatesRules(d.Function) {
			d.Attribution = drop.Attribution{Certainty: drop.Unknown,
				Note: "a module with rules was loaded just before the drop; it is known from now on"}
		}
		explainNAT(e, d)
	default:
		r.noRule(ctx, n, e, d)
	}
}

func (r *Resolver) hookFunction(fn uint64) string {
	if name, ok := r.Symbols.Entry(fn); ok {
		return name
	}
	return fmt.Sprintf("%#x", fn)
}

// evaluatesRules tells hooks that have rules from those that are the cause
// themselves. The kernel side knows them by address, once their module is known.
func evaluatesRules(function string) bool {
	for _, prefix := range []string{"ipt_", "ip6t_", "arpt_", "ebt_", "iptable_", "ip6table_",
		"arptable_", "ebtable_", "nft_", "nf_route_table_"} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

func methodName(m event.Method) string {
	switch m {
	case event.MethodNFTExpression:
		return "nft-expression"
	case event.MethodNFTFrame:
		return "nft-frame"
	case event.MethodXTTarget:
		return "xt-target"
	case event.MethodXTCounter, event.MethodXTCounterMany, event.MethodXTFresh:
		return "xt-counter"
	case event.MethodPolicySite, event.MethodPolicyRest:
		return "policy"
	case event.MethodHook:
		return "hook"
	}
	return ""
}

// describe names a chain, and the base chain of this hook that leads to it.
func describe(c *ruleset.Chain, bases []*ruleset.Chain, hook string) *drop.Rule {
	out := &drop.Rule{
		Engine: string(c.Table.Engine), Family: c.Table.Family, Table: c.Table.Name, Chain: c.Name,
	}
	if base := baseOf(bases, hook); base != nil {
		out.BaseChain = base.Name
		out.Priority = new(base.Priority)
	}
	return out
}

// baseOf is the base chain of the hook; nil where two are: which one the packet
// came through is not known.
func baseOf(bases []*ruleset.Chain, hook string) *ruleset.Chain {
	var base *ruleset.Chain
	for _, b := range bases {
		if b.Hook != hook {
			continue
		}
		if base != nil {
			return nil
		}
		base = b
	}
	return base
}

// noRule tells the rest: no netfilter in it, or netfilter that did not say which
// rule.
func (r *Resolver) noRule(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	function := r.freedAt(e).function
	if e.Hook == event.NoHook && !strings.HasPrefix(function, "nf") {
		r.noHook(function, d)
		return
	}
	d.Cause = "hook"
	d.Attribution.Certainty = drop.Unknown
	switch function {
	case "nf_queue", "__nf_queue":
		d.Verdict, d.Function = queueFailed, function
		d.Attribution.Note = "no program listens to this NFQUEUE, or its queue is full"
		return
	case "nf_reinject", "nfqnl_reinject", "nfqnl_recv_verdict":
		d.Function, d.Attribution.Certainty, d.Attribution.Method = function, drop.Certain, "hook"
		d.Attribution.Note = "the program behind NFQUEUE said drop"
		return
	}
	if e.Flags&(event.XTStale|event.XTUntracked) != 0 {
		r.rereadXT(n)
	}
	if e.Flags&(event.XTStale|event.XTUntracked|event.XTTracked|event.NFTHere) != 0 {
		d.Cause = "rule" // there are rules here; which, if any, is what is not known
	}
	if r.blameNAT(e, d) {
		return
	}
	d.Attribution.Note = r.unknownNote(e)
	if table := event.Text(e.Rule.Table[:]); table != "" && e.HookFn != 0 {
		r.knownTable(n, e, d)
	}
}

// noHook leaves the kernel's own reason as the answer, unless that is netfilter, or
// nothing at all.
func (r *Resolver) noHook(function string, d *drop.Drop) {
	switch {
	case d.Reason == "NETFILTER_DROP":
		d.Cause = "hook"
		d.Attribution.Certainty = drop.Unknown
		d.Attribution.Note = "netfilter dropped it; this kernel does not let droptrace find the hook"
	case function == "" && (d.Reason == "" || d.Reason == "NOT_SPECIFIED"):
		d.Attribution.Certainty = drop.Unknown
		d.Attribution.Note = "the kernel shows no addresses of functions, so that where it was dropped has no name"
	}
}

// knownTable serves drops whose table or base chain is certain but not the rule.
func (r *Resolver) knownTable(n *namespace, e *event.Event, d *drop.Drop) {
	if e.Rule.ChainHandle != 0 {
		d.Rule = nftNames(n, e)
		d.Rule.BaseChain, d.Rule.Chain = d.Rule.Chain, ""
	} else {
		d.Rule = xtNames(e)
	}
	d.Cause = "rule"
	d.Function = r.hookFunction(e.HookFn)
}

func (r *Resolver) unknownNote(e *event.Event) string {
	switch {
	case e.Flags&event.XTStale != 0:
		return "the iptables-legacy table was replaced; its rules are watched again from now on"
	case e.Flags&event.XTUntracked != 0:
		return "the iptables-legacy rules of this namespace were not watched yet; they are from now on"
	case e.Flags&event.XTCapped != 0:
		return "too many drop rules to compare their counters"
	case e.Rule.Candidates > 1:
		return fmt.Sprintf("%d iptables-legacy rules counted a packet at once", e.Rule.Candidates)
	case e.Flags&event.NFTHere != 0 && e.Rule.ChainHandle != 0:
		return "this kernel's nftables needs a probe to tell the rule" + conntrack.KprobeAdvice()
	case e.Flags&event.XTTracked != 0:
		return "no watched iptables-legacy rule counted the packet"
	}
	return "none of the hook's functions told it"
}
