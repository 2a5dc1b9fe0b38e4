package nftables

import (
	"cmp"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Snapshot is the ruleset of one namespace at one generation. Its structure
// never changes; texts are fetched when they are asked for. It may be used by
// several goroutines.
type Snapshot struct {
	rules  *ruleset.Ruleset
	tables []*tableNode // without dormant ones
	byHand map[uint64]*tableNode
	nodes  map[*ruleset.Chain]*chainNode
	// inline are the chains { … } by the rule that has them.
	inline map[*ruleset.Rule]*chainNode
	texts  *texts
}

func newSnapshot(ns Namespace, generation uint32, tables []*tableNode) *Snapshot {
	s := &Snapshot{
		rules:  &ruleset.Ruleset{Generation: generation},
		byHand: make(map[uint64]*tableNode),
		nodes:  make(map[*ruleset.Chain]*chainNode),
		inline: make(map[*ruleset.Rule]*chainNode),
		texts:  newTexts(ns, generation),
	}
	for _, t := range tables {
		s.byHand[t.Handle] = t
		for _, c := range t.chains {
			s.nodes[c.Chain] = c
			if c.jumper != nil {
				s.inline[c.jumper] = c
			}
		}
		// No hook calls a dormant table (nf_tables_register_hook leaves it
		// out), so nothing in it can meet a packet.
		if !t.dormant {
			s.tables = append(s.tables, t)
			s.rules.Tables = append(s.rules.Tables, t.Table)
		}
	}
	return s
}

// Ruleset is the snapshot as the rest of droptrace speaks of it. Dormant tables
// are left out: nothing evaluates them.
func (s *Snapshot) Ruleset() *ruleset.Ruleset { return s.rules }

// Rule finds a rule by the handles of its table and of itself, which together
// name one rule of this generation. Handles are numbers in host byte order, as
// nft prints them.
func (s *Snapshot) Rule(tableHandle, ruleHandle uint64) (*ruleset.Rule, bool) {
	t, ok := s.byHand[tableHandle]
	if !ok {
		return nil, false
	}
	return t.rule(ruleHandle)
}

func (t *tableNode) rule(handle uint64) (*ruleset.Rule, bool) {
	i, ok := slices.BinarySearchFunc(t.rulesByHand, handle, func(r *ruleset.Rule, h uint64) int {
		return cmp.Compare(r.Handle, h)
	})
	if !ok {
		return nil, false
	}
	return t.rulesByHand[i], true
}

// Chain finds a chain by the handles of its table and of itself.
func (s *Snapshot) Chain(tableHandle, chainHandle uint64) (*ruleset.Chain, bool) {
	t, ok := s.byHand[tableHandle]
	if !ok {
		return nil, false
	}
	i, ok := slices.BinarySearchFunc(t.chainsByHand, chainHandle, func(c *ruleset.Chain, h uint64) int {
		return cmp.Compare(c.Handle, h)
	})
	if !ok {
		return nil, false
	}
	return t.chainsByHand[i], true
}

// Hook is where a packet was in netfilter.
type Hook struct {
	// Family of the hook (nf_hook_state.pf) as nft spells it: ip, ip6, arp,
	// bridge or netdev.
	Family string
	// Name as nft spells it: prerouting … postrouting, ingress, egress.
	Name string
	// Device is the interface of an ingress or egress hook. Empty means not
	// known, and then every device's chains count.
	Device string
}

// calls reports whether the hook calls the base chain.
func (h Hook) calls(c *ruleset.Chain) bool {
	if c.Hook != h.Name {
		return false
	}
	switch c.Table.Family {
	case h.Family:
	case "inet":
		// Its ingress hook is netdev's, though nft_do_chain_inet_ingress calls
		// the family ip or ip6 from there on.
		if h.Family != "ip" && h.Family != "ip6" && (h.Family != "netdev" || h.Name != "ingress") {
			return false
		}
	default:
		return false
	}
	return h.Device == "" || len(c.Devices) == 0 || slices.ContainsFunc(c.Devices, func(d string) bool {
		prefix, wild := strings.CutSuffix(d, "*")
		return d == h.Device || wild && strings.HasPrefix(h.Device, prefix)
	})
}

// Candidates are the rules with that handle that can drop a packet at that
// hook, at most one a table. It is for drops of which only the rule's handle is
// known: one candidate is the rule.
//
// A rule is left out only when it cannot drop, or when no jump, goto or verdict
// map leads to its chain from a base chain of the hook.
func (s *Snapshot) Candidates(at Hook, ruleHandle uint64) []*ruleset.Rule {
	var found []*ruleset.Rule
	for _, t := range s.tables {
		r, ok := t.rule(ruleHandle)
		if ok && r.CanDrop && slices.ContainsFunc(s.nodes[r.Chain].bases, at.calls) {
			found = append(found, r)
		}
	}
	return found
}

// Bases are the base chains from which a packet can come to the chain; a base
// chain's own is itself. It is nil for a chain that nothing leads to.
func (s *Snapshot) Bases(c *ruleset.Chain) []*ruleset.Chain {
	if n, ok := s.nodes[c]; ok {
		return n.bases
	}
	return nil
}
