package xtables

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/ruleset"
)

func hookNames() [5]string {
	return [5]string{"prerouting", "input", "forward", "output", "postrouting"}
}

func chainNames() [5]string {
	return [5]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
}

// priority is that of the table's hooks (uapi linux/netfilter_ipv4.h).
func priority(table string, hook int) int32 {
	switch table {
	case "raw":
		return -300
	case "mangle":
		return -150
	case "security":
		return 50
	case "nat":
		if hook == 0 || hook == 3 { // prerouting, output: NF_IP_PRI_NAT_DST
			return -100
		}
		return 100
	}
	return 0
}

// nameChains gives every entry its chain and every rule its number. Built-in
// chains begin at hook_entry and end with their policy at underflow; a user
// chain begins behind an ERROR entry that carries its name and ends with RETURN.
func (b *Blob) nameChains() error {
	start, end := b.builtins()
	var chain *ruleset.Chain
	for i := range b.Entries {
		e := &b.Entries[i]
		if c := start[e.Offset]; c != nil {
			chain = c
			b.Table.Chains = append(b.Table.Chains, c)
		}
		if e.Target == errorTarget {
			if i == len(b.Entries)-1 {
				break // the table's end
			}
			chain = &ruleset.Chain{Table: b.Table, Name: e.head}
			b.Table.Chains = append(b.Table.Chains, chain)
			e.Chain = chain
			continue
		}
		if chain == nil {
			return fmt.Errorf("entry at %d stands in no chain: %w", e.Offset, ErrMalformed)
		}
		e.Chain = chain
		if c := end[e.Offset]; c != nil {
			e.Policy = true
			c.Policy = policyName(e)
			continue
		}
		if b.isTail(i) {
			continue
		}
		e.Rule = &ruleset.Rule{
			Chain: chain, Number: len(chain.Rules) + 1,
			CanDrop: canDrop(e), Rejects: e.Target == "REJECT", Queues: queues(e),
		}
		chain.Rules = append(chain.Rules, e.Rule)
	}
	return nil
}

// builtins returns the built-in chains by the offsets of first and last entry.
func (b *Blob) builtins() (start, end map[uint32]*ruleset.Chain) {
	start, end = make(map[uint32]*ruleset.Chain), make(map[uint32]*ruleset.Chain)
	for hook, name := range chainNames() {
		if b.Info.ValidHooks&(1<<hook) == 0 {
			continue
		}
		c := &ruleset.Chain{
			Table: b.Table, Name: name, Hook: hookNames()[hook], Type: "filter",
			Priority: priority(b.ID.Name, hook),
		}
		if b.ID.Name == "nat" {
			c.Type = "nat"
		}
		start[b.Info.HookEntry[hook]] = c
		end[b.Info.Underflow[hook]] = c
	}
	return start, end
}

func policyName(e *Entry) string {
	if e.Standard && e.Verdict == verdictDrop {
		return "drop"
	}
	return "accept"
}

// isTail tells whether the entry is the RETURN that ends a user chain, which no
// listing shows: another chain's head, or the table's end, follows it.
func (b *Blob) isTail(i int) bool {
	e := &b.Entries[i]
	return e.Chain.Hook == "" && e.Standard && e.Verdict == verdictReturn &&
		i+1 < len(b.Entries) && b.Entries[i+1].Target == errorTarget
}

// canDrop is false only for targets known never to drop.
func canDrop(e *Entry) bool {
	if e.Standard {
		return e.Verdict == verdictDrop || queues(e)
	}
	switch e.Target {
	case "LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "CLASSIFY", "DSCP", "TOS", "TTL", "HL",
		"SET", "CT", "NOTRACK", "CHECKSUM", "ULOG", "AUDIT", "RATEEST", "IDLETIMER", "LED":
		return false
	}
	return true
}

func queues(e *Entry) bool {
	const verdictQueue = -4 // -NF_QUEUE - 1
	return e.Target == "NFQUEUE" || e.Standard && e.Verdict == verdictQueue
}

// reach marks each entry with the hooks from which packets come to it.
func (b *Blob) reach() {
	index := make(map[uint32]int, len(b.Entries))
	for i := range b.Entries {
		index[b.Entries[i].Offset] = i
	}
	for hook := range 5 {
		if b.Info.ValidHooks&(1<<hook) == 0 {
			continue
		}
		if i, ok := index[b.Info.HookEntry[hook]]; ok {
			b.mark(i, uint8(1)<<hook, index)
		}
	}
}

// mark walks from an entry to its chain's end and on through jumps. An entry
// marked already ends the walk: all behind it is marked too.
func (b *Blob) mark(from int, bit uint8, index map[uint32]int) {
	todo := []int{from}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for chain := b.Entries[i].Chain; i < len(b.Entries); i++ {
			e := &b.Entries[i]
			if e.Chain != chain || e.Hooks&bit != 0 {
				break
			}
			e.Hooks |= bit
			if e.Standard && e.Verdict >= 0 {
				if to, ok := index[uint32(e.Verdict)]; ok && b.Entries[to].Hooks&bit == 0 {
					todo = append(todo, to)
				}
			}
		}
	}
}
