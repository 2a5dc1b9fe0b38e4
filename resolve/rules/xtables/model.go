package xtables

import (
	"context"
	"maps"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Model reads what the blob's rules do: its table once more, with texts and
// statements. The rules are not the blob's, but stand at the same places of
// chains of the same names.
//
// Statements come from the text that [Texts] asks for, with the same errors. A
// text that is not understood leaves the rule with an Opaque that is not.
// ipsets are read where a rule asks one.
func Model(ctx context.Context, ns Namespace, b *Blob) (*ruleset.Table, error) {
	texts, err := Texts(ctx, ns, b)
	if err != nil {
		return nil, err
	}
	var sets ipset.Sets
	for _, text := range texts {
		if iptables.NamesSet(text) {
			if sets, err = ipset.Read(ctx, ns); err != nil {
				return nil, err
			}
			break
		}
	}
	return modelOf(b, texts, sets), nil
}

func modelOf(b *Blob, texts map[*ruleset.Rule]string, sets ipset.Sets) *ruleset.Table {
	t := iptables.Copy(b.Table)
	reader := iptables.NewReader(t, sets, iptables.Filled(maps.Values(texts)))
	for i, c := range t.Chains {
		for j, r := range c.Rules {
			text := texts[b.Table.Chains[i].Rules[j]]
			if err := reader.Read(r, text, nil); err != nil {
				r.Text, r.Read = text, true
				r.Statements = []ruleset.Statement{iptables.NotUnderstood(r, text)}
			}
		}
	}
	Count(b, t)
	return t
}

// Count gives the rules of t, a copy of the blob's table, the counters of their
// entries.
func Count(b *Blob, t *ruleset.Table) {
	copied := make(map[*ruleset.Chain]*ruleset.Chain, len(t.Chains))
	for i, c := range b.Table.Chains {
		copied[c] = t.Chains[i]
	}
	for i := range b.Entries {
		if e := &b.Entries[i]; e.Rule != nil {
			r := copied[e.Chain].Rules[e.Rule.Number-1]
			r.Packets, r.Counts = e.Packets, true
		}
	}
}
