package live

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/netns"
)

const (
	// maxCounted bounds the namespaces whose counters are read at the start: each
	// takes a millisecond or two.
	maxCounted = 32
	// maxGrown is how many counters of a namespace are named.
	maxGrown = 10
)

// counters reads what each namespace has counted so far, by inode.
func (t *Trace) counters() map[uint32]machine.Counters {
	all := make(map[uint32]machine.Counters)
	for _, n := range t.namespaces[:min(len(t.namespaces), maxCounted)] {
		h, err := netns.Open(n)
		if err != nil {
			continue // gone
		}
		_ = h.Do(func() error {
			c, err := machine.ReadCounters()
			all[n.Inode] = c // as far as it was read
			return err
		})
		h.Close()
	}
	return all
}

// Grown implements [Report].
func (t *Trace) Grown() []string {
	return grown(t.namespaces, t.countersBefore, t.counters())
}

// grown names what grew in each namespace, and once what counts for the whole machine.
func grown(namespaces []netns.Namespace, before, now map[uint32]machine.Counters) []string {
	var out []string
	whole := make(map[string]bool)
	for _, n := range namespaces {
		named := 0
		for _, g := range now[n.Inode].Since(before[n.Inode]) {
			if named == maxGrown {
				break
			}
			if g.Whole && whole[g.Name] {
				continue
			}
			whole[g.Name] = g.Whole
			where := ""
			if len(namespaces) > 1 && !g.Whole {
				where = " in netns " + (&drop.Netns{Inode: n.Inode, Name: n.Name, PID: n.PID, Command: n.Command}).Label()
			}
			out = append(out, fmt.Sprintf("%d %s%s: %s", g.Count, g.Name, where, g.Words))
			named++
		}
	}
	return out
}
