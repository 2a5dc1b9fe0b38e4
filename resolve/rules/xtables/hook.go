package xtables

import (
	"fmt"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// hookNames spells hooks as nft does.
func hookNames() [hookCount]string {
	return [...]string{"prerouting", "input", "forward", "output", "postrouting"}
}

func chainNames() [hookCount]string {
	return [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
}

// hookNumber orders chains; user-defined ones come last.
func hookNumber(c *ruleset.Chain) int {
	names := hookNames()
	if i := slices.Index(names[:], c.Hook); i >= 0 {
		return i
	}
	return hookCount
}

// priority is that of a table's hooks: enum nf_ip_hook_priorities of uapi
// linux/netfilter_ipv4.h, the same numbers in netfilter_ipv6.h. raw has -450
// where iptable_raw was loaded with raw_before_defrag=1, which is not looked at.
func priority(table string, hook int) int32 {
	const prerouting, output = 0, 3
	switch table {
	case "raw":
		return -300
	case "mangle":
		return -150
	case "nat":
		if hook == prerouting || hook == output {
			return -100 // NF_IP_PRI_NAT_DST
		}
		return 100 // NF_IP_PRI_NAT_SRC
	case "security":
		return 50
	}
	return 0 // filter
}

// chainType is what nft would call the chain: mangle's OUTPUT routes again where
// a rule changed what routing looks at (ipt_mangle_out).
func chainType(table string, hook int) string {
	const output = 3
	switch {
	case table == "nat":
		return "nat"
	case table == "mangle" && hook == output:
		return "route"
	}
	return "filter"
}

// reach marks each entry with the hooks from which packets can come to it. It
// follows the table as the kernel does when it looks for loops (mark_source_chains
// in ip_tables.c): a goto counts as a jump that may come back. That may be one
// bit too many, never one too few.
func (b *Blob) reach() error {
	var todo []int
	for hook := range hookCount {
		if b.ValidHooks&(1<<hook) == 0 {
			continue
		}
		i, ok := b.index(b.HookEntry[hook])
		if !ok {
			return fmt.Errorf("no entry at %d: %w", b.HookEntry[hook], ErrMalformed)
		}
		todo = append(todo, i)
		for len(todo) > 0 {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			var err error
			if todo, err = b.walk(i, uint8(1)<<hook, todo); err != nil {
				return err
			}
		}
	}
	if err := b.agree(); err != nil {
		return err
	}
	for i := range b.Entries {
		// A RETURN in a built-in chain leads to its policy, also where the
		// kernel's walk does not come by.
		if e := &b.Entries[i]; e.Policy {
			e.Hooks |= uint8(1) << hookNumber(e.Chain)
		}
	}
	return nil
}

// agree compares what was found with what the kernel found when it loaded these
// entries and left in comefrom. The one follows from Info, which was asked for
// apart from the entries, the other came with the entries: where a table was
// replaced by another of the same size between the two, they differ.
func (b *Blob) agree() error {
	told := false // a kernel that leaves nothing there tells nothing
	for i := range b.Entries {
		told = told || b.Entries[i].comefrom != 0
	}
	for i := range b.Entries {
		if e := &b.Entries[i]; told && e.Hooks != e.comefrom {
			return fmt.Errorf("entry at %d is reached from hooks %05b, the kernel says %05b: %w",
				e.Offset, e.Hooks, e.comefrom, ErrMalformed)
		}
	}
	return nil
}

// walk marks entries from i on as far as a packet can fall through, and adds the
// targets of jumps to todo. Marked entries were walked from already: loops end.
func (b *Blob) walk(i int, bit uint8, todo []int) ([]int, error) {
	for ; i < len(b.Entries); i++ {
		e := &b.Entries[i]
		if e.Hooks&bit != 0 {
			break
		}
		e.Hooks |= bit
		if !e.Standard {
			continue
		}
		if e.Verdict < 0 {
			if e.unconditional {
				break
			}
			continue
		}
		to, ok := b.index(uint32(e.Verdict))
		if !ok {
			return nil, fmt.Errorf("entry at %d jumps to %d: %w", e.Offset, e.Verdict, ErrMalformed)
		}
		todo = append(todo, to)
	}
	return todo, nil
}
