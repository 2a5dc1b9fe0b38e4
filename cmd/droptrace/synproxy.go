package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/droptrace/droptrace/resolve/link"
	"github.com/droptrace/droptrace/resolve/netns"
)

// synproxies reads what synproxy has counted so far in the namespaces asked for,
// by inode; without any asked for, in all of them. Each has the file, or none.
func (t *trace) synproxies(ctx context.Context) map[uint32]synproxied {
	if _, err := os.Stat("/proc/thread-self/net/stat/synproxy"); err != nil {
		return nil
	}
	list := t.asked
	if len(list) == 0 {
		list, _ = netns.List(ctx)
	}
	counts := make(map[uint32]synproxied)
	for _, n := range list {
		h, err := netns.Open(n)
		if err != nil {
			continue // gone
		}
		_ = h.Do(func() error {
			c, err := link.ReadSynproxy()
			counts[n.Inode] = synproxied{n, c}
			return err
		})
		h.Close()
	}
	return counts
}

type synproxied struct {
	netns    netns.Namespace
	counters link.Synproxy
}

// Beside implements source.
func (t *trace) Beside() []string {
	var out []string
	for inode, now := range t.synproxies(context.Background()) {
		c := now.counters.Since(t.synproxyBefore[inode].counters)
		if c.SYNs+c.Invalid == 0 {
			continue
		}
		where := ""
		if now.netns.Name != "" {
			where = " in netns " + now.netns.Name
		}
		out = append(out, fmt.Sprintf("synproxy answered %d SYNs%s for servers, which is no drop; %d ACKs brought the cookie back, %d a wrong one",
			c.SYNs, where, c.Valid, c.Invalid))
	}
	slices.Sort(out)
	return out
}
