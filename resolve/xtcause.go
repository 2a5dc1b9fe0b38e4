package resolve

import (
	"context"
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer/event"
)

// xtRule names a legacy entry. The blob read must have the very bytes that the
// kernel had at that offset: else the table was replaced.
func (r *Resolver) xtRule(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	d.Cause, d.Attribution.Method = "rule", methodName(e.Rule.Method)
	fresh := e.Rule.Method == event.MethodXTFresh
	if fresh {
		r.rereadXT(n)
	}
	table, entry := xtEntry(n, e)
	same := entry != nil
	if same && e.Rule.Method == event.MethodXTTarget {
		same = table.still(e)
	} else if same {
		same = table.holds(entry, e.Rule.RuleHandle)
	}
	if !same {
		if !fresh {
			r.rereadXT(n)
		}
		d.Rule = xtNames(e)
		d.Attribution = drop.Attribution{Certainty: drop.Unknown, Method: d.Attribution.Method,
			Note: "the table was replaced since the drop"}
		return
	}
	if e.Rule.Method == event.MethodXTCounterMany {
		d.Attribution.Certainty = drop.Probable
		d.Attribution.Note = fmt.Sprintf("%d rules counted a packet just then; this one's fits", e.Rule.Candidates)
	}
	if e.Flags&event.XTCapped != 0 && e.Rule.Method != event.MethodXTTarget {
		d.Attribution.Certainty = drop.Probable
		d.Attribution.Note = "the table has more drop rules than can be compared; this one counted the packet"
	}
	if entry.Policy {
		d.Cause = "policy"
	} else if entry.Target == "REJECT" {
		d.Verdict = "reject"
	}
	r.xtPlace(ctx, n, table, entry, d)
}

// xtPlace names the entry and its chain.
func (r *Resolver) xtPlace(ctx context.Context, n *namespace, table *xtTable, entry *xtables.Entry, d *drop.Drop) {
	key := placeKey{chain: entry.Chain, hook: d.Hook}
	if !entry.Policy {
		key.rule = entry.Rule
	}
	r.named = place{key.chain, key.rule}
	if known, ok := n.described[key]; ok {
		d.Rule, r.at = known.rule, known.at
		return
	}
	d.Rule = describe(entry.Chain, nil, d.Hook)
	if base := baseOf(table.Table.Chains, d.Hook); base != nil {
		d.Rule.BaseChain, d.Rule.Priority = base.Name, new(base.Priority)
		r.at = replay.Place{Chain: entry.Chain, Rule: key.rule, Base: base}
	}
	if entry.Policy {
		d.Rule.Policy = "drop"
	} else {
		d.Rule.Number = entry.Rule.Number
		text, err := r.xtText(n, table, entry.Rule)
		d.Rule.Text = text
		if err != nil {
			d.Rule.TextMissing = textMissing(err)
		}
	}
	if !r.pending {
		remember(&n.described, key, described{d.Rule, r.at})
	}
}

// xtEntry finds the entry in the very blob that the kernel had, by its address:
// rules of one size can take each other's place.
func xtEntry(n *namespace, e *event.Event) (*xtTable, *xtables.Entry) {
	table := n.xt[xtables.TableID{Family: netfilter.FamilyName(e.Rule.Family), Name: event.Text(e.Rule.Table[:])}]
	if table == nil || table.watched == nil || table.watched.Address() != e.Rule.Address {
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

func xtNames(e *event.Event) *drop.Rule {
	return &drop.Rule{
		Engine: string(ruleset.IPTablesLegacy), Family: netfilter.FamilyName(e.Rule.Family),
		Table: event.Text(e.Rule.Table[:]), Chain: event.Text(e.Rule.Chain[:]),
	}
}

func (r *Resolver) rereadXT(n *namespace) {
	if err := r.readXT(n); err != nil {
		r.notify(err.Error())
	}
}
