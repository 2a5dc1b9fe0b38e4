package nftables

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// joiner gives the snapshot's rules the texts of a listing. It takes nothing
// unless everything listed is what the snapshot has: see listing for why.
type joiner struct {
	s     *Snapshot
	want  *chainNode // the only chain listed; nil where all of them are
	found map[*ruleset.Chain][]string

	table  uint64 // that is being listed
	tables map[uint64]bool
}

func (j *joiner) add(b listedBlock) error {
	t, err := j.tableOf(b)
	if err != nil {
		return err
	}
	c, ok := j.s.Chain(t.Handle, b.handle)
	if !b.chain {
		// A set, map, flowtable or object: handles are given to all things of a
		// table from one counter (nf_tables_alloc_handle).
		if _, isRule := t.rule(b.handle); ok || isRule || j.want != nil {
			return fmt.Errorf("handle %d is not a set's: %w", b.handle, errListing)
		}
		return nil
	}
	if !ok || j.want != nil && j.want.Chain != c {
		return fmt.Errorf("unknown chain handle %d: %w", b.handle, errListing)
	}
	if _, twice := j.found[c]; twice {
		return fmt.Errorf("chain handle %d twice: %w", b.handle, errListing)
	}
	return j.join(c, b.rules)
}

// tableOf is the table of the block, each of which comes once.
func (j *joiner) tableOf(b listedBlock) (*tableNode, error) {
	if j.want != nil {
		return j.want.table, nil
	}
	if b.table != j.table {
		if j.tables[b.table] {
			return nil, fmt.Errorf("table handle %d twice: %w", b.table, errListing)
		}
		j.table, j.tables[b.table] = b.table, true
	}
	t, ok := j.s.byHand[b.table]
	if !ok {
		return nil, fmt.Errorf("unknown table handle %d: %w", b.table, errListing)
	}
	return t, nil
}

// join gives each rule of the chain its text. The handles have to be the
// kernel's, in its order: so no text can be another rule's.
func (j *joiner) join(c *ruleset.Chain, listed []listedRule) error {
	if len(listed) != len(c.Rules) {
		return fmt.Errorf("%d rules where the kernel has %d: %w", len(listed), len(c.Rules), errListing)
	}
	bound := j.s.nodes[c].bound
	lines := make([]string, len(listed))
	for i, l := range listed {
		r := c.Rules[i]
		// nft prints no handles inside { … }: there the count must do.
		if !bound && l.handle != r.Handle {
			return fmt.Errorf("rule %d has handle %d, not %d: %w", i+1, l.handle, r.Handle, errListing)
		}
		lines[i] = l.text
		if inner := j.s.inline[r]; inner != nil {
			if err := j.join(inner.Chain, l.nested); err != nil {
				return err
			}
		}
	}
	j.found[c] = lines
	return nil
}
