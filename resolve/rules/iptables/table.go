package iptables

import (
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

var (
	// ErrSyntax is returned for what iptables would not take.
	ErrSyntax = errors.New("iptables does not know this")
	// ErrNoChain is returned for a chain that the table does not have.
	ErrNoChain = errors.New("no such chain")
	// ErrNoTable is returned for a table that iptables does not have.
	ErrNoTable = errors.New("no such table")
	// ErrNoRule is returned for a rule that the chain does not have.
	ErrNoRule = errors.New("no such rule")
	// ErrExists is returned for what is there already.
	ErrExists = errors.New("it exists already")
	// ErrInUse is returned for a chain that still has rules or jumps to it.
	ErrInUse = errors.New("it is in use")
)

// Options of reading rules.
type Options struct {
	// Family is ip or ip6; empty has each table of a file tell, by the comment
	// above it or by what it holds, and makes it ip where nothing does.
	Family string
	// Engine of the tables; empty has the comment above tell, and makes it
	// [ruleset.IPTablesNFT], today's default, where there is none.
	Engine ruleset.Engine
	// Sets are the namespace's ipsets. What is not among them is a set of which
	// nothing is known.
	Sets ipset.Sets
}

// table is one being read.
type table struct {
	*ruleset.Table
	chains map[string]*ruleset.Chain
	specs  *specs
	sets   ipset.Sets
	parts  *setParts
	strict bool
	compat func(match string) bool
}

func newTable(t *ruleset.Table, sets ipset.Sets, filled map[string]bool) *table {
	n := &table{
		Table: t, chains: make(map[string]*ruleset.Chain, len(t.Chains)),
		specs: newSpecs(t.Family), sets: sets,
		parts: &setParts{parts: make(map[*ipset.Set][]setPart), filled: filled},
	}
	for _, c := range t.Chains {
		n.chains[c.Name] = c
	}
	return n
}

func (t *table) addChain(name, policy string) (*ruleset.Chain, error) {
	if _, twice := t.chains[name]; twice {
		return nil, fmt.Errorf("chain %q: %w", name, ErrExists)
	}
	c := newChain(t.Table, name, policy)
	t.Chains = append(t.Chains, c)
	t.chains[name] = c
	return c, nil
}

// rule makes a rule of the words behind -A CHAIN.
func (t *table) rule(words []word) (*ruleset.Rule, *ruleWords, error) {
	parsed, err := t.specs.parse(words, t.strict)
	if err != nil {
		return nil, nil, err
	}
	r := &ruleset.Rule{Read: true}
	if err := t.fill(r, parsed); err != nil {
		return nil, nil, err
	}
	return r, parsed, nil
}

// fill gives a rule its statements and what follows from them.
func (t *table) fill(r *ruleset.Rule, parsed *ruleWords) error {
	b := builder{
		family: t.Family, engine: t.Engine, chains: t.chains, sets: t.sets, parts: t.parts,
		compat: t.compat, strict: t.strict,
	}
	if err := b.build(parsed); err != nil {
		return err
	}
	r.Statements, r.Read = b.statements, true
	for _, e := range parsed.matches {
		r.CanDrop = r.CanDrop || !MatchPasses(e.name)
		if o, ok := e.find("comment"); ok && e.name == "comment" {
			r.Comment = o.arg()
		}
	}
	t.judge(r, parsed.target)
	return nil
}

// judge tells what the rule's end may do to a packet.
func (t *table) judge(r *ruleset.Rule, target *extension) {
	if target == nil {
		return
	}
	switch _, isChain := t.chains[target.name]; {
	case isChain, target.name == "ACCEPT", target.name == "RETURN":
	default:
		r.CanDrop = r.CanDrop || !TargetPasses(target.name)
		r.Rejects = target.name == "REJECT"
		r.Queues = target.name == "QUEUE" || target.name == "NFQUEUE"
	}
}
