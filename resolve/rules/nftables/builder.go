package nftables

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// builder turns the kernel's answers into nodes. A chain or rule of a table
// that was not listed means that the ruleset changed in between.
type builder struct {
	src    source
	memory *budget.Budget
	tables []*tableNode
	byName map[tableKey]*tableNode

	chains int // in all tables
	uses   int // their rules, and the jumps between them

	// last is the chain of the last rule: a dump lists chain by chain.
	last *chainNode
	// slab is where rules come from, some hundreds at a time.
	slab []ruleset.Rule
	// asked are the rules that ask sets for a verdict, in order.
	asked []setUse
}

// What is kept of a snapshot, in bytes (measured): of a table or chain, and of a rule
// without its comment.
const (
	chainSize = 1024
	ruleSize  = 192
)

type tableKey struct {
	family uint8
	name   string
}

// tableNode is a table with what only this package needs to know.
type tableNode struct {
	*ruleset.Table
	family uint8
	// dormant tables keep their chains, but no hook calls them.
	dormant  bool
	chains   []*chainNode
	byName   map[string]*chainNode
	sets     map[string]*set // those that rules refer to
	setCount int             // of all

	// By handle, once all are there.
	rulesByHand  []*ruleset.Rule
	chainsByHand []*ruleset.Chain

	// builtins are the base chains that iptables-nft makes in such a table; nil
	// where it makes none.
	builtins []builtin

	rules, compat, foreign int // all; with an x_tables part; not iptables-nft's
}

// chainNode is a chain with its way through the table.
type chainNode struct {
	*ruleset.Chain
	table *tableNode

	targets   []*chainNode // chains that its rules jump or go to
	anyTarget bool         // and perhaps any other
	vmaps     []*set       // verdict maps that may hold more

	bases []*ruleset.Chain // base chains that packets come from

	// bound chains are the { … } of a rule: jumper is that rule.
	bound  bool
	jumper *ruleset.Rule

	// foreign are the rules that iptables-nft cannot have written, noted only
	// where the table could be its own.
	foreign map[*ruleset.Rule]bool

	// ebtablesPolicy is the last rule where ebtables-nft made it as the
	// chain's policy.
	ebtablesPolicy *ruleset.Rule
}

// setUse is one rule's reference to a set.
type setUse struct {
	rule *ruleset.Rule
	set  *set
	kind refKind
}

func build(ctx context.Context, src source) (*builder, error) {
	b := &builder{src: src, memory: budget.From(ctx), byName: make(map[tableKey]*tableNode)}
	if err := src.dump(ctx, request{typ: unix.NFT_MSG_GETTABLE}, b.addTable); err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	if err := src.dump(ctx, request{typ: unix.NFT_MSG_GETCHAIN}, b.addChain); err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	if err := b.readRules(ctx); err != nil {
		return nil, err
	}
	if err := b.readSets(ctx); err != nil {
		return nil, err
	}
	for _, t := range b.tables {
		t.finish()
	}
	return b, nil
}

func (b *builder) addTable(family uint8, attrs []byte) error {
	m, err := decodeTable(attrs)
	if err != nil {
		return err
	}
	t := &tableNode{
		Table:   &ruleset.Table{Engine: ruleset.NFTables, Family: netfilter.FamilyName(family), Name: m.name, Handle: m.handle},
		family:  family,
		dormant: m.flags&unix.NFT_TABLE_F_DORMANT != 0,
		byName:  make(map[string]*chainNode),
		sets:    make(map[string]*set),
	}
	if err := b.memory.Take(chainSize + len(m.name)); err != nil {
		return err
	}
	t.builtins = builtins(t.Family, t.Name)
	b.byName[tableKey{family, m.name}] = t
	b.tables = append(b.tables, t)
	return nil
}

func (b *builder) addChain(family uint8, attrs []byte) error {
	m, err := decodeChain(attrs)
	if err != nil {
		return err
	}
	t, ok := b.byName[tableKey{family, m.table}]
	if !ok {
		return errInterrupted
	}
	if err := b.memory.Take(chainSize + len(m.name)); err != nil {
		return err
	}
	c := &chainNode{
		Chain: &ruleset.Chain{Table: t.Table, Name: m.name, Handle: m.handle},
		table: t,
		bound: m.flags&chainBinding != 0,
	}
	if m.hooked {
		c.Hook, c.Type, c.Priority, c.Devices = netfilter.HookName(family, m.hook), m.typ, m.priority, m.devices
		c.Policy = "accept"
		if m.policy == nfDrop {
			c.Policy = "drop"
		}
	}
	t.chains = append(t.chains, c)
	t.byName[m.name] = c
	b.chains++
	b.uses += int(m.use)
	return nil
}
