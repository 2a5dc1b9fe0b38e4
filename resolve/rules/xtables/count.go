package xtables

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

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
