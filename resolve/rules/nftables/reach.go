package nftables

import (
	"cmp"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// finish settles what needs the whole table.
func (t *tableNode) finish() {
	t.Engine = engineOf(t)
	t.Chains = make([]*ruleset.Chain, 0, len(t.chains))
	t.rulesByHand = make([]*ruleset.Rule, 0, t.rules)
	for _, c := range t.chains {
		t.Chains = append(t.Chains, c.Chain)
		t.rulesByHand = append(t.rulesByHand, c.Rules...)
	}
	t.chainsByHand = slices.Clone(t.Chains)
	slices.SortFunc(t.rulesByHand, func(a, b *ruleset.Rule) int { return cmp.Compare(a.Handle, b.Handle) })
	slices.SortFunc(t.chainsByHand, func(a, b *ruleset.Chain) int { return cmp.Compare(a.Handle, b.Handle) })

	for _, c := range t.chains {
		if c.IsBase() {
			t.reach(c)
		}
	}
	// The snapshot may live for hours: let go of what only led here.
	t.byName, t.sets = nil, nil
	for _, c := range t.chains {
		c.targets, c.vmaps = nil, nil
		if t.Engine == ruleset.NFTables {
			c.foreign = nil
		}
	}
}

// reach marks every chain that a packet from the base chain can come to. Where
// a verdict map could not be read, that is every chain of the table.
func (t *tableNode) reach(base *chainNode) {
	seen := map[*chainNode]bool{base: true}
	maps := make(map[*set]bool)
	// Jumps may form no loops (nft_chain_validate), but chains may be reached
	// by several ways, and in large rulesets are: each is looked at once.
	queue := []*chainNode{base}
	visit := func(c *chainNode) {
		if c != nil && !seen[c] {
			seen[c] = true
			queue = append(queue, c)
		}
	}
	all := false
	for len(queue) > 0 && !all {
		c := queue[0]
		queue = queue[1:]
		all = c.anyTarget
		for _, to := range c.targets {
			visit(to)
		}
		for _, s := range c.vmaps {
			all = all || !s.read || s.anyTarget
			if maps[s] {
				continue
			}
			maps[s] = true
			for _, name := range s.targets {
				visit(t.byName[name])
			}
		}
	}
	for _, c := range t.chains {
		// Nothing can jump to a base chain (nft_verdict_init refuses).
		if seen[c] || all && !c.IsBase() {
			c.bases = append(c.bases, base.Chain)
		}
	}
}
