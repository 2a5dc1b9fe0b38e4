package live

import (
	"fmt"

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
	var out []string
	now := t.counters()
	for _, n := range t.namespaces {
		where := ""
		if len(t.namespaces) > 1 {
			where = " in netns " + label(n)
		}
		grown := now[n.Inode].Since(t.countersBefore[n.Inode])
		for _, g := range grown[:min(len(grown), maxGrown)] {
			out = append(out, fmt.Sprintf("%d %s%s: %s", g.Count, g.Name, where, g.Words))
		}
	}
	return out
}

func label(n netns.Namespace) string {
	switch {
	case n.Name != "":
		return n.Name
	case n.Command != "":
		return fmt.Sprintf("of %s (pid %d)", n.Command, n.PID)
	}
	return fmt.Sprintf("inode %d", n.Inode)
}
