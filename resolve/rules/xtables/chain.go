package xtables

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// hookCount is NF_INET_NUMHOOKS.
const hookCount = 5

// nameChains gives every entry its chain and every rule its number. A built-in
// chain begins at hook_entry and ends with its policy at underflow; a user chain
// begins behind an ERROR entry that carries its name and ends with a RETURN that
// no listing shows; one more ERROR entry ends the table (iptables' libiptc.c).
func (b *Blob) nameChains() error {
	starts, err := b.builtins()
	if err != nil {
		return err
	}
	if len(b.Entries) == 0 || b.Entries[len(b.Entries)-1].Target != errorTarget {
		return fmt.Errorf("no end marker: %w", ErrMalformed)
	}
	rules := make([]ruleset.Rule, len(b.Entries)) // one piece of memory for all
	var chain *ruleset.Chain
	var policy uint32 // offset of the built-in chain's last entry
	for i := range b.Entries[:len(b.Entries)-1] {
		e := &b.Entries[i]
		start, isStart := starts[e.Offset]
		switch {
		case isStart && (chain == nil || !chain.IsBase()):
			chain, policy = start.chain, start.policy
			delete(starts, e.Offset)
		case e.Target == errorTarget && (chain == nil || !chain.IsBase()):
			if chain, err = b.userChain(e); err != nil {
				return err
			}
			e.Chain = chain
			continue
		case isStart, chain == nil, e.Target == errorTarget:
			return fmt.Errorf("entry at %d stands in no chain or two: %w", e.Offset, ErrMalformed)
		}
		e.Chain = chain
		switch {
		case chain.IsBase() && e.Offset == policy:
			if err := e.setPolicy(); err != nil {
				return err
			}
			chain = nil
		case !b.isTail(i):
			b.addRule(e, &rules[i])
		}
	}
	if len(starts) > 0 || chain != nil && chain.IsBase() {
		return fmt.Errorf("a built-in chain has no begin or no end: %w", ErrMalformed)
	}
	// Stable: user chains stay in the blob's order, behind all built-in ones.
	slices.SortStableFunc(b.Table.Chains, func(x, y *ruleset.Chain) int {
		return cmp.Compare(hookNumber(x), hookNumber(y))
	})
	return nil
}

// builtin is a built-in chain and the offset of its policy.
type builtin struct {
	chain  *ruleset.Chain
	policy uint32
}

// builtins makes the built-in chains, by the offset of their first entry.
func (b *Blob) builtins() (map[uint32]builtin, error) {
	starts := make(map[uint32]builtin)
	for hook, name := range chainNames() {
		if b.ValidHooks&(1<<hook) == 0 {
			continue
		}
		if _, taken := starts[b.HookEntry[hook]]; taken {
			return nil, fmt.Errorf("two hooks begin at %d: %w", b.HookEntry[hook], ErrMalformed)
		}
		c := &ruleset.Chain{
			Table: b.Table, Name: name, Hook: hookNames()[hook],
			Type: chainType(b.ID.Name, hook), Priority: priority(b.ID.Name, hook),
		}
		b.Table.Chains = append(b.Table.Chains, c)
		starts[b.HookEntry[hook]] = builtin{c, b.Underflow[hook]}
	}
	return starts, nil
}

func (b *Blob) userChain(e *Entry) (*ruleset.Chain, error) {
	t := b.target(e)
	if len(t) < errorSize {
		return nil, fmt.Errorf("chain at %d has no name: %w", e.Offset, ErrMalformed)
	}
	c := &ruleset.Chain{Table: b.Table, Name: string(cut(t.data()[:errorName]))}
	b.Table.Chains = append(b.Table.Chains, c)
	return c, nil
}

// setPolicy makes the entry its chain's policy. The kernel takes no other at
// underflow than an unconditional ACCEPT or DROP (check_underflow).
func (e *Entry) setPolicy() error {
	e.Policy = true
	switch {
	case e.Standard && e.Verdict == verdictDrop:
		e.Chain.Policy = "drop"
	case e.Standard && e.Verdict == verdictAccept:
		e.Chain.Policy = "accept"
	default:
		return fmt.Errorf("chain %s: policy is no verdict: %w", e.Chain.Name, ErrMalformed)
	}
	return nil
}

// isTail tells whether the entry is the RETURN that ends a user chain: another
// chain's head, or the table's end, follows it. A table that another program
// than iptables loaded may end its chains otherwise; such an end is taken for a
// rule, so that a drop there is not lost.
func (b *Blob) isTail(i int) bool {
	e := &b.Entries[i]
	return !e.Chain.IsBase() && e.Standard && e.Verdict == verdictReturn && e.unconditional &&
		b.Entries[i+1].Target == errorTarget
}

func (b *Blob) addRule(e *Entry, r *ruleset.Rule) {
	*r = ruleset.Rule{
		Chain: e.Chain, Number: len(e.Chain.Rules) + 1, CanDrop: canDrop(e),
		Rejects: e.Target == rejectTarget, Queues: queues(e), Comment: b.comment(e),
	}
	e.Rule = r
	e.Chain.Rules = append(e.Chain.Rules, r)
}
