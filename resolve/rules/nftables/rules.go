package nftables

import (
	"context"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// readRules lists all rules at once or, where there are many, chain by chain.
//
// For each datagram of a dump the kernel walks again over all that it has sent
// (__nf_tables_dump_rules), so that a dump of 10,000 rules takes 50 ms and one
// of 100,000 in one chain 4 s. A request of its own takes about 20 µs.
func (b *builder) readRules(ctx context.Context) error {
	add := b.ruleAdder()
	// 0.4 ns × uses² (measured) against 20 µs × chains.
	if b.uses*b.uses/50_000 < b.chains {
		if err := b.src.dump(ctx, request{typ: unix.NFT_MSG_GETRULE}, add); err != nil {
			return fmt.Errorf("list rules: %w", err)
		}
		return nil
	}
	for _, t := range b.tables {
		for _, c := range t.chains {
			req := request{typ: unix.NFT_MSG_GETRULE, family: t.family, attrs: []netlink.Attribute{
				{Type: unix.NFTA_RULE_TABLE, Data: append([]byte(t.Name), 0)},
				{Type: unix.NFTA_RULE_CHAIN, Data: append([]byte(c.Name), 0)},
			}}
			if err := b.src.dump(ctx, req, add); err != nil {
				return fmt.Errorf("list rules of chain %s %q %q: %w", t.Family, t.Name, c.Name, err)
			}
		}
	}
	return nil
}

// ruleAdder is a callback that decodes each rule into the same message.
func (b *builder) ruleAdder() func(uint8, []byte) error {
	var m ruleMessage
	return func(family uint8, attrs []byte) error {
		if err := decodeRule(family, attrs, &m); err != nil {
			return err
		}
		c := b.chainOf(family, &m)
		if c == nil {
			return errInterrupted
		}
		if err := b.memory.Take(ruleSize + len(m.comment) + 64*(len(m.refs)+len(m.targets))); err != nil {
			return err
		}
		b.addRule(c, &m)
		return nil
	}
}

func (b *builder) chainOf(family uint8, m *ruleMessage) *chainNode {
	if c := b.last; c != nil && c.table.family == family && c.Name == string(m.chain) && c.table.Name == string(m.table) {
		return c
	}
	t := b.byName[tableKey{family, string(m.table)}]
	if t == nil {
		return nil
	}
	b.last = t.byName[string(m.chain)]
	return b.last
}

func (b *builder) addRule(c *chainNode, m *ruleMessage) {
	if len(b.slab) == 0 {
		b.slab = make([]ruleset.Rule, 256)
	}
	r := &b.slab[0]
	b.slab = b.slab[1:]
	*r = ruleset.Rule{
		Chain:   c.Chain,
		Handle:  m.handle,
		Number:  len(c.Rules) + 1,
		CanDrop: m.canDrop,
		Rejects: m.rejects,
		Queues:  m.queues,
		Comment: string(m.comment),
	}
	c.Rules = append(c.Rules, r)
	if m.ebtablesPolicy {
		c.ebtablesPolicy = r
	}
	c.table.count(c, r, m)
	b.follow(c, r, m)
}

func (t *tableNode) count(c *chainNode, r *ruleset.Rule, m *ruleMessage) {
	t.rules++
	if m.compat {
		t.compat++
	}
	if t.builtins == nil || m.written() {
		return
	}
	t.foreign++
	if c.foreign == nil {
		c.foreign = make(map[*ruleset.Rule]bool)
	}
	c.foreign[r] = true
}

// follow notes where the rule leads: to chains, and to sets that decide.
func (b *builder) follow(c *chainNode, r *ruleset.Rule, m *ruleMessage) {
	c.anyTarget = c.anyTarget || m.anyTarget
	for _, target := range m.targets {
		to := c.table.byName[string(target)]
		if to == nil {
			// Not listed: the generation will tell; until then, anywhere.
			c.anyTarget = true
			continue
		}
		c.targets = append(c.targets, to)
		if to.bound {
			to.jumper = r
		}
	}
	for _, ref := range m.refs {
		s := c.table.set(ref.name)
		b.asked = append(b.asked, setUse{rule: r, set: s, kind: ref.kind})
		switch ref.kind {
		case refVerdict:
			s.verdicts = true
			c.vmaps = append(c.vmaps, s)
		case refLimit:
			s.canDrop = true
		}
	}
}
