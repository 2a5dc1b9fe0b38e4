package live

import (
	"context"
	"sync"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/netns"
)

// arrivals are the counts of --arrivals, with what was last read of them.
type arrivals struct {
	asked   bool
	leftOut []string

	mu    sync.Mutex
	names map[uint32]drop.Netns
	last  *drop.Arrivals
}

// notOfArrivals lists the flags that do not narrow arrivals: these packets have met
// no hook, rule or reason.
func (t *Trace) notOfArrivals(f *Filter) []string {
	var out []string
	for _, field := range []struct {
		flag   string
		values []string
	}{
		{"--hook", f.Hook}, {"--table", f.Table}, {"--chain", f.Chain}, {"--reason", f.Reason}, {"--ctstate", f.CTState},
	} {
		if len(field.values) > 0 {
			out = append(out, field.flag)
		}
	}
	if f.Netfilter {
		out = append(out, "--netfilter")
	}
	if !t.filter.FitsKernel() {
		out = append(out, "lists too long for the kernel")
	}
	if !t.expressionInKernel {
		out = append(out, "the expression")
	}
	return out
}

// Arrivals implements [Report].
func (t *Trace) Arrivals() *drop.Arrivals {
	if !t.arrivals.asked {
		return nil
	}
	t.arrivals.mu.Lock()
	defer t.arrivals.mu.Unlock()
	list, err := t.tracer.Arrivals()
	if err != nil {
		return t.arrivals.last // closed
	}
	type device struct{ netns, index uint32 }
	all := &drop.Arrivals{Time: time.Now(), LeftOut: t.arrivals.leftOut}
	at := make(map[device]int)
	for _, a := range list {
		all.Undecided += a.Undecided
		i, ok := at[device{a.Netns, a.Index}]
		if !ok {
			i = len(all.Interfaces)
			at[device{a.Netns, a.Index}] = i
			all.Interfaces = append(all.Interfaces, drop.ArrivalPlace{
				Netns: t.arrivals.netns(a.Netns), Index: a.Index, Name: a.Name,
			})
		}
		if p := &all.Interfaces[i]; a.Sent {
			p.Sent += a.Packets
			all.Sent += a.Packets
		} else {
			p.Arrived += a.Packets
			all.Arrived += a.Packets
		}
	}
	all.Sort()
	t.arrivals.last = all
	return all
}

// netns names a namespace while it is there.
func (a *arrivals) netns(inode uint32) drop.Netns {
	if n, ok := a.names[inode]; ok || inode == 0 {
		return n
	}
	if a.names == nil {
		a.names = make(map[uint32]drop.Netns)
	}
	n := drop.Netns{Inode: inode}
	if own, err := netns.Current(); err == nil && own.Inode == inode {
		n.Own = true
	}
	if found, err := netns.Find(context.Background(), inode); err == nil {
		n.Name = found.Name
		if found.Name == "" && !n.Own {
			n.PID, n.Command = found.PID, found.Command
		}
	}
	a.names[inode] = n
	return n
}
