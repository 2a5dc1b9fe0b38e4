package resolve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/nftables"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/resolve/symbol"
	"github.com/droptrace/droptrace/resolve/xtables"
	"github.com/droptrace/droptrace/tracer/event"
)

// resolveCause fills in cause, verdict, rule and attribution.
func (r *Resolver) resolveCause(ctx context.Context, n *namespace, e *event.Event, d *Drop) {
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
			d.Attribution = Attribution{Certainty: Unknown,
				Note: "a module with rules was loaded just before the drop; it is known from now on"}
		}
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
	case event.MethodXTCounter, event.MethodXTCounterMany:
		return "xt-counter"
	case event.MethodPolicySite, event.MethodPolicyRest:
		return "policy"
	case event.MethodHook:
		return "hook"
	}
	return ""
}

// nftAt reads the ruleset that an event speaks of: again where the event's
// generation, or that of what it names, is not the snapshot's.
func (r *Resolver) nftAt(ctx context.Context, n *namespace, e *event.Event) *nftables.Snapshot {
	current := func() bool {
		if n.nft == nil {
			return false
		}
		g := n.nft.Ruleset().Generation
		return e.Rule.Generation == 0 || e.Rule.Generation == g
	}
	if !current() {
		n.readNFT(ctx, r.now())
	}
	return n.nft
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
func (r *Resolver) nftRule(ctx context.Context, n *namespace, e *event.Event, d *Drop) {
	d.Cause, d.Attribution.Method = "rule", methodName(e.Rule.Method)
	if e.Rule.TableHandle == 0 {
		r.nftByHandle(ctx, n, e, d)
		return
	}
	snapshot := r.nftAt(ctx, n, e)
	rule, ok := lookupRule(snapshot, e)
	changing := false
	if !ok {
		_, changing = n.readNFT(ctx, r.now())
		snapshot = n.nft
		rule, ok = lookupRule(snapshot, e)
	}
	if !ok {
		d.Rule = nftNames(n, e)
		d.Rule.Handle = e.Rule.RuleHandle
		d.Rule.TextMissing = removed(n, "rule", changing)
		rejectByProbe(e, d)
		return
	}
	d.Rule = describe(rule.Chain, snapshot.Bases(rule.Chain), d.Hook)
	d.Rule.Handle, d.Rule.Number = rule.Handle, rule.Number
	if rule.Rejects || e.Rule.Reject != 0 {
		d.Verdict = "reject"
	}
	r.nftText(ctx, snapshot, rule, d)
}

func rejectByProbe(e *event.Event, d *Drop) {
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

func (r *Resolver) nftText(ctx context.Context, s *nftables.Snapshot, rule *ruleset.Rule, d *Drop) {
	text, err := s.Text(ctx, rule)
	d.Rule.Text = text
	switch {
	case errors.Is(err, nftables.ErrNoProgram):
		d.Rule.TextMissing = "nft is not installed"
	case errors.Is(err, nftables.ErrChanged):
		d.Rule.TextMissing = "the ruleset changed since"
	case err != nil:
		d.Rule.TextMissing = err.Error()
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
func nftNames(n *namespace, e *event.Event) *Rule {
	out := &Rule{
		Engine: string(ruleset.NFTables), Family: familyName(e.Rule.Family),
		Table: cString(e.Rule.Table[:]), Chain: cString(e.Rule.Chain[:]),
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
func (r *Resolver) nftByHandle(ctx context.Context, n *namespace, e *event.Event, d *Drop) {
	snapshot := r.nftAt(ctx, n, e)
	if snapshot == nil {
		d.Attribution = Attribution{Certainty: Unknown, Note: missing(n, "the ruleset could not be read")}
		return
	}
	rules := snapshot.Candidates(nftables.HookAt(e.PF, uint32(e.Hook), ""), e.Rule.RuleHandle)
	for _, rule := range rules {
		c := describe(rule.Chain, snapshot.Bases(rule.Chain), d.Hook)
		c.Handle, c.Number = rule.Handle, rule.Number
		d.Attribution.Candidates = append(d.Attribution.Candidates, *c)
	}
	switch len(rules) {
	case 0:
		d.Attribution = Attribution{Certainty: Unknown, Note: fmt.Sprintf(
			"the rule with handle %d was removed since", e.Rule.RuleHandle)}
	case 1:
		d.Rule, d.Attribution.Candidates = &d.Attribution.Candidates[0], nil
		d.Attribution.Certainty = Probable
		r.nftText(ctx, snapshot, rules[0], d)
	default:
		d.Attribution.Certainty = Probable
		d.Attribution.Note = "several tables have a rule with this handle"
	}
}

func (r *Resolver) nftPolicy(ctx context.Context, n *namespace, e *event.Event, d *Drop) {
	d.Cause, d.Attribution.Method = "policy", methodName(e.Rule.Method)
	if e.Rule.Method == event.MethodPolicyRest &&
		(r.ProbesComplete == nil || !r.ProbesComplete(d.Time)) {
		d.Attribution.Certainty = Probable
		d.Attribution.Note = "a module was loaded about then whose rules had no probe yet"
	}
	find := func() (*ruleset.Chain, bool) {
		if n.nft == nil {
			return nil, false
		}
		return n.nft.Chain(e.Rule.TableHandle, e.Rule.ChainHandle)
	}
	r.nftAt(ctx, n, e)
	chain, ok := find()
	changing := false
	if !ok {
		_, changing = n.readNFT(ctx, r.now())
		chain, ok = find()
	}
	if ok {
		d.Rule = describe(chain, []*ruleset.Chain{chain}, d.Hook)
	} else {
		d.Rule = nftNames(n, e)
		d.Rule.TextMissing = removed(n, "chain", changing)
	}
	d.Rule.Policy = "drop"
}

// describe names a chain, and the base chain of this hook that leads to it.
func describe(c *ruleset.Chain, bases []*ruleset.Chain, hook string) *Rule {
	out := &Rule{
		Engine: string(c.Table.Engine), Family: c.Table.Family, Table: c.Table.Name, Chain: c.Name,
	}
	var base *ruleset.Chain
	for _, b := range bases {
		if b.Hook != hook {
			continue
		}
		if base != nil {
			return out // two lead to it: which one is not known
		}
		base = b
	}
	if base != nil {
		out.BaseChain = base.Name
		out.Priority = ref(base.Priority)
	}
	return out
}

// xtRule names a legacy entry. The blob read must have the very bytes that the
// kernel had at that offset: else the table was replaced.
func (r *Resolver) xtRule(ctx context.Context, n *namespace, e *event.Event, d *Drop) {
	d.Cause, d.Attribution.Method = "rule", methodName(e.Rule.Method)
	table, entry := xtEntry(n, e)
	if entry == nil {
		r.rereadXT(n)
		d.Rule = xtNames(e)
		d.Attribution = Attribution{Certainty: Unknown, Method: d.Attribution.Method,
			Note: "the table was replaced since the drop"}
		return
	}
	d.Rule = describe(entry.Chain, nil, d.Hook)
	d.Rule.BaseChain, d.Rule.Priority = xtBase(table.Blob, d.Hook)
	if e.Rule.Method == event.MethodXTCounterMany {
		d.Attribution.Certainty = Probable
		d.Attribution.Note = fmt.Sprintf("%d rules counted a packet just then; this one's fits", e.Rule.Candidates)
	}
	if entry.Policy {
		d.Cause, d.Rule.Policy = "policy", "drop"
		return
	}
	if entry.Target == "REJECT" {
		d.Verdict = "reject"
	}
	d.Rule.Number = entry.Rule.Number
	text, err := table.text(ctx, n, entry.Rule)
	d.Rule.Text = text
	if err != nil {
		d.Rule.TextMissing = err.Error()
	}
}

// xtEntry finds the entry in the very blob that the kernel had, by its address:
// rules of one size can take each other's place.
func xtEntry(n *namespace, e *event.Event) (*xtTable, *xtables.Entry) {
	table := n.xt[xtables.TableID{Family: familyName(e.Rule.Family), Name: cString(e.Rule.Table[:])}]
	if table == nil || table.address != e.Rule.Address {
		return nil, nil
	}
	if e.Rule.Method == event.MethodXTTarget {
		if entry, ok := table.Holding(e.Rule.Offset); ok && entry.Rule != nil {
			return table, entry
		}
		return nil, nil
	}
	entry, ok := table.At(e.Rule.Offset)
	if !ok || !entry.Drops() || entry.Chain == nil || !table.SameHead(entry, e.Rule.Entry[:]) {
		return nil, nil
	}
	if entry.Rule == nil && !entry.Policy {
		return nil, nil
	}
	return table, entry
}

func xtNames(e *event.Event) *Rule {
	return &Rule{
		Engine: string(ruleset.IPTablesLegacy), Family: familyName(e.Rule.Family),
		Table: cString(e.Rule.Table[:]), Chain: cString(e.Rule.Chain[:]),
	}
}

// xtBase is the built-in chain of the hook, from which the entry was reached.
func xtBase(b *xtables.Blob, hook string) (string, *int32) {
	for _, c := range b.Table.Chains {
		if c.Hook == hook {
			return c.Name, ref(c.Priority)
		}
	}
	return "", nil
}

func (r *Resolver) rereadXT(n *namespace) {
	if err := n.readXT(r.now(), r.Watcher); err != nil {
		r.notify(err.Error())
	}
}

// noRule tells the rest: no netfilter in it, or netfilter that did not say which
// rule.
func (r *Resolver) noRule(ctx context.Context, n *namespace, e *event.Event, d *Drop) {
	function, _, _ := r.Symbols.Lookup(e.Location)
	function = symbol.Base(function)
	if e.Hook == event.NoHook && !strings.HasPrefix(function, "nf") {
		return // the kernel's own reason is the answer
	}
	d.Cause = "hook"
	d.Attribution.Certainty = Unknown
	switch function {
	case "nf_queue", "__nf_queue":
		d.Verdict, d.Function = "queue_failed", function
		d.Attribution.Note = "no program listens to this NFQUEUE, or its queue is full"
		return
	case "nf_reinject", "nfqnl_reinject", "nfqnl_recv_verdict":
		d.Function, d.Attribution.Certainty, d.Attribution.Method = function, Certain, "hook"
		d.Attribution.Note = "the program behind NFQUEUE said drop"
		return
	}
	if e.Flags&(event.XTStale|event.XTUntracked) != 0 {
		r.rereadXT(n)
	}
	if e.Flags&(event.XTStale|event.XTUntracked|event.XTTracked|event.NFTHere) != 0 {
		d.Cause = "rule" // there are rules here; which, if any, is what is not known
	}
	d.Attribution.Note = r.unknownNote(e)
	if table := cString(e.Rule.Table[:]); table != "" && e.HookFn != 0 {
		r.knownTable(n, e, d)
	}
}

// knownTable serves drops whose table or base chain is certain but not the rule.
func (r *Resolver) knownTable(n *namespace, e *event.Event, d *Drop) {
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
		return "this kernel's nftables needs a probe to tell the rule: --probes kprobe"
	case e.Flags&event.XTTracked != 0:
		return "no watched iptables-legacy rule counted the packet"
	}
	return "none of the hook's functions told it"
}
