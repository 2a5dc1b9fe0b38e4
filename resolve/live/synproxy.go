package live

import (
	"fmt"
	"os"

	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/netns"
)

// synproxies reads what synproxy has counted so far, by inode. Each namespace has
// the file, or none.
func (t *Trace) synproxies() map[uint32]machine.Synproxy {
	counts := make(map[uint32]machine.Synproxy)
	if _, err := os.Stat("/proc/thread-self/net/stat/synproxy"); err != nil {
		return counts
	}
	for _, n := range t.namespaces {
		h, err := netns.Open(n)
		if err != nil {
			continue // gone
		}
		_ = h.Do(func() error {
			c, err := machine.ReadSynproxy()
			if err == nil {
				counts[n.Inode] = c
			}
			return err
		})
		h.Close()
	}
	return counts
}

// Beside implements [Report].
func (t *Trace) Beside() []string {
	var out []string
	counts := t.synproxies()
	for _, n := range t.namespaces {
		now, ok := counts[n.Inode]
		c := now.Since(t.synproxyBefore[n.Inode])
		if !ok || c.SYNs+c.Invalid == 0 {
			continue
		}
		where := ""
		if n.Name != "" {
			where = " in netns " + n.Name
		}
		out = append(out, fmt.Sprintf("synproxy answered %d SYNs%s for servers, which is no drop; %d ACKs brought the cookie back, %d a wrong one",
			c.SYNs, where, c.Valid, c.Invalid))
	}
	return append(out, t.faults()...)
}
