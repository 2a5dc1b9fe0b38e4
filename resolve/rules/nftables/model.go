package nftables

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/statement"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Model reads what the snapshot's rules do: the same tables, chains and rules
// once more, with statements, and the tables' sets with their elements. Its
// rules are not the snapshot's, but have the same handles.
//
// Rules of iptables-nft's tables have texts, too, and the statements that these
// come to: see readTexts. Where iptables-nft-save is not installed, what x_tables
// code does (Rule.Compat) is Opaque. The error is ErrChanged where the ruleset is
// no longer the snapshot's.
func (s *Snapshot) Model(ctx context.Context) (*ruleset.Ruleset, error) {
	if len(s.rules.Tables) == 0 {
		return &ruleset.Ruleset{Generation: s.rules.Generation}, nil
	}
	c := &conn{ns: s.texts.ns}
	defer c.close()
	rules, err := readModel(ctx, s, c)
	if err != nil {
		return nil, fmt.Errorf("read nftables rules: %w", err)
	}
	if err := s.readTexts(ctx, rules); err != nil {
		return nil, err
	}
	return rules, nil
}

// ReadModel is Read and Model in one, as often as it takes to have both of one
// generation.
func ReadModel(ctx context.Context, ns Namespace) (*ruleset.Ruleset, error) {
	for range readAttempts {
		s, err := Read(ctx, ns)
		if err != nil {
			return nil, err
		}
		rules, err := s.Model(ctx)
		if !errors.Is(err, ErrChanged) {
			return rules, err
		}
	}
	return nil, ErrChanging
}

// readModel reads everything between two looks at the generation, which must be
// the snapshot's.
func readModel(ctx context.Context, s *Snapshot, src source) (*ruleset.Ruleset, error) {
	unchanged := func() error {
		gen, err := src.generation(ctx)
		if err == nil && gen != s.rules.Generation {
			return ErrChanged
		}
		return err
	}
	if err := unchanged(); err != nil {
		return nil, err
	}
	m := newModeler(s, src)
	m.memory = budget.From(ctx)
	if err := m.read(ctx); errors.Is(err, errInterrupted) {
		return nil, ErrChanged
	} else if err != nil {
		return nil, err
	}
	if err := unchanged(); err != nil {
		return nil, err
	}
	return m.rules, nil
}

// modeler turns the kernel's answers into statements.
type modeler struct {
	snapshot *Snapshot
	src      source
	rules    *ruleset.Ruleset
	tables   []*modelTable
	byName   map[tableKey]*modelTable
	decoder  statement.Decoder
	uses     int // rules of all chains
	memory   *budget.Budget
}

// What a rule takes in a model and its replay, in bytes (measured): itself, and for
// each byte of its expressions.
const (
	modelRuleSize  = 512
	statementsSize = 3
)

// modelTable is a table of the model, and where its rules find what they name.
type modelTable struct {
	*ruleset.Table
	family uint8
	chains map[string]*modelChain
	sets   map[string]*statement.Set
	order  []*statement.Set
}

// modelChain is a chain whose rules are read in order: next is the place of the
// one that comes.
type modelChain struct {
	*ruleset.Chain
	next int
}

// Chain makes a modelTable a statement.Table.
func (t *modelTable) Chain(name []byte) *ruleset.Chain {
	if c := t.chains[string(name)]; c != nil {
		return c.Chain
	}
	return nil
}

// Set makes a modelTable a statement.Table.
func (t *modelTable) Set(name []byte) *statement.Set { return t.sets[string(name)] }

// newModeler copies the snapshot's tables, so that statements find their chains.
func newModeler(s *Snapshot, src source) *modeler {
	m := &modeler{
		snapshot: s, src: src,
		rules:  &ruleset.Ruleset{Generation: s.rules.Generation},
		byName: make(map[tableKey]*modelTable),
	}
	for _, t := range s.tables {
		copied := *t.Table
		to := &modelTable{
			Table: &copied, family: t.family,
			chains: make(map[string]*modelChain), sets: make(map[string]*statement.Set),
		}
		to.Chains, to.Sets = make([]*ruleset.Chain, 0, len(t.Chains)), []*ruleset.Set{}
		for _, c := range t.Chains {
			chain := copyChain(c, to.Table)
			to.Chains = append(to.Chains, chain)
			to.chains[c.Name] = &modelChain{Chain: chain}
			m.uses += len(c.Rules)
		}
		m.byName[tableKey{t.family, t.Name}] = to
		m.tables = append(m.tables, to)
		m.rules.Tables = append(m.rules.Tables, to.Table)
	}
	return m
}

func copyChain(c *ruleset.Chain, to *ruleset.Table) *ruleset.Chain {
	chain := *c
	chain.Table = to
	chain.Rules = make([]*ruleset.Rule, len(c.Rules))
	rules := make([]ruleset.Rule, len(c.Rules))
	for i, r := range c.Rules {
		rules[i] = *r
		rules[i].Chain = &chain
		chain.Rules[i] = &rules[i]
	}
	return &chain
}

// read fills the model. Sets come first, because their headers tell how long a
// rule's keys are; elements last, because only rules tell what keys mean.
func (m *modeler) read(ctx context.Context) error {
	if err := m.src.dump(ctx, request{typ: unix.NFT_MSG_GETSET}, m.addSet); err != nil {
		return fmt.Errorf("list sets: %w", err)
	}
	if err := m.readRules(ctx); err != nil {
		return err
	}
	for _, t := range m.tables {
		for _, c := range t.chains {
			if c.next != len(c.Rules) {
				return errInterrupted
			}
		}
	}
	if err := m.readElements(ctx); err != nil {
		return err
	}
	for _, l := range m.decoder.Lookups {
		l.Finish()
	}
	return nil
}

func (m *modeler) addSet(family uint8, attrs []byte) error {
	s, err := statement.DecodeSet(attrs)
	if err != nil {
		return err
	}
	t := m.byName[tableKey{family, s.Table}]
	if t == nil {
		return nil // of a dormant table, or the generation will tell
	}
	if err := m.memory.Take(chainSize); err != nil {
		return err
	}
	s.Own(t.Table)
	t.sets[s.Name] = s
	t.order = append(t.order, s)
	return nil
}

// readRules lists all rules at once or chain by chain: see builder.readRules.
func (m *modeler) readRules(ctx context.Context) error {
	if m.uses*m.uses/50_000 < len(m.snapshot.nodes) {
		if err := m.src.dump(ctx, request{typ: unix.NFT_MSG_GETRULE}, m.addRule); err != nil {
			return fmt.Errorf("list rules: %w", err)
		}
		return nil
	}
	for _, t := range m.tables {
		for _, c := range t.Chains {
			if len(c.Rules) == 0 {
				continue
			}
			req := request{typ: unix.NFT_MSG_GETRULE, family: t.family, attrs: []netlink.Attribute{
				{Type: unix.NFTA_RULE_TABLE, Data: append([]byte(t.Name), 0)},
				{Type: unix.NFTA_RULE_CHAIN, Data: append([]byte(c.Name), 0)},
			}}
			if err := m.src.dump(ctx, req, m.addRule); err != nil {
				return fmt.Errorf("list rules of chain %s %q %q: %w", t.Family, t.Name, c.Name, err)
			}
		}
	}
	return nil
}

func (m *modeler) addRule(family uint8, attrs []byte) error {
	var (
		table, chain, expressions []byte
		handle                    uint64
	)
	a := nlattr.Walk(attrs)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_RULE_TABLE:
			table = a.Text()
		case unix.NFTA_RULE_CHAIN:
			chain = a.Text()
		case unix.NFTA_RULE_HANDLE:
			handle = a.Uint64()
		case unix.NFTA_RULE_EXPRESSIONS:
			expressions = a.Data
		}
	}
	if err := a.Err(); err != nil {
		return err
	}
	t := m.byName[tableKey{family, string(table)}]
	if t == nil {
		return nil // of a dormant table, or the generation will tell
	}
	c := t.chains[string(chain)]
	if c == nil || c.next >= len(c.Rules) || c.Rules[c.next].Handle != handle {
		return errInterrupted
	}
	r := c.Rules[c.next]
	c.next++
	if err := m.memory.Take(modelRuleSize + statementsSize*len(expressions)); err != nil {
		return err
	}
	body, err := m.decoder.Decode(family, t, expressions)
	if err != nil {
		return err
	}
	r.Statements, r.Read, r.Compat = body.Statements, true, body.Compat
	r.Packets, r.Counts = body.Packets, body.Counts
	if !r.CanDrop {
		cannotDrop(r)
	}
	return nil
}

// cannotDrop tells a rule's steps what is known of the rule: of x_tables' code
// its name says whether it can drop (see xt.go).
func cannotDrop(r *ruleset.Rule) {
	for _, s := range r.Statements {
		if o, ok := s.(*ruleset.Opaque); ok {
			o.MayDrop = false
		}
	}
}
