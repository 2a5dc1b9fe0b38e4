package iptables

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// builtin is a chain that a table has by itself.
type builtin struct {
	name, hook, typ string
	priority        int32
}

// builtins are the chains of a table in the order of their hooks; nil for a table
// that iptables does not have. Priorities are the kernel's nf_ip_hook_priorities
// and those that iptables-nft gives its chains, which differ for security.
func builtins(engine ruleset.Engine, table string) []builtin {
	pre := builtin{"PREROUTING", "prerouting", "filter", 0}
	in := builtin{"INPUT", "input", "filter", 0}
	forward := builtin{"FORWARD", "forward", "filter", 0}
	out := builtin{"OUTPUT", "output", "filter", 0}
	post := builtin{"POSTROUTING", "postrouting", "filter", 0}
	at := func(priority int32, chains ...builtin) []builtin {
		for i := range chains {
			chains[i].priority = priority
		}
		return chains
	}
	switch table {
	case "filter":
		return at(0, in, forward, out)
	case "raw":
		return at(-300, pre, out)
	case "mangle":
		out.typ = "route" // it routes again where a rule changed the mark
		return at(-150, pre, in, forward, out, post)
	case "nat":
		pre.priority, in.priority, out.priority, post.priority = -100, 100, -100, 100
		chains := []builtin{pre, in, out, post}
		for i := range chains {
			chains[i].typ = "nat"
		}
		return chains
	case "security":
		if engine == ruleset.IPTablesNFT {
			return at(150, in, forward, out)
		}
		return at(50, in, forward, out)
	}
	return nil
}

// newChain makes a chain of the table, a base chain where the name is a
// built-in one's.
func newChain(t *ruleset.Table, name, policy string) *ruleset.Chain {
	c := &ruleset.Chain{Table: t, Name: name}
	for _, b := range builtins(t.Engine, t.Name) {
		if b.name == name {
			c.Hook, c.Type, c.Priority, c.Policy = b.hook, b.typ, b.priority, policy
		}
	}
	return c
}

// sortChains puts base chains first, by hook, as iptables lists them.
func sortChains(t *ruleset.Table) {
	known := builtins(t.Engine, t.Name)
	rank := func(c *ruleset.Chain) int {
		i := slices.IndexFunc(known, func(b builtin) bool { return b.name == c.Name })
		if i < 0 {
			return len(known)
		}
		return i
	}
	slices.SortStableFunc(t.Chains, func(a, b *ruleset.Chain) int { return rank(a) - rank(b) })
}
