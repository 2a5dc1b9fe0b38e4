package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/tracer"
	"github.com/droptrace/droptrace/tracer/event"
)

// ctBefore is what a namespace had counted when tracing began.
type ctBefore struct {
	counts drop.ConntrackCounts
	at     time.Time
}

// NextFailure implements [Failures].
func (t *Trace) NextFailure(ctx context.Context) (*drop.ConntrackFailure, error) {
	if !t.started {
		t.started, t.drained = true, outlasting(ctx, drainGrace)
		context.AfterFunc(ctx, func() { t.tracer.Detach() })
		t.tracer.SetDeadline(time.Now().Add(refreshEvery))
	}
	for {
		err := t.tracer.Read(&t.event)
		switch {
		case errors.Is(err, ringbuf.ErrFlushed):
			return nil, io.EOF
		case errors.Is(err, os.ErrDeadlineExceeded):
			if ctx.Err() == nil {
				if err := t.refreshModules(ctx); err != nil {
					t.notice(err.Error())
				}
			}
			t.tracer.SetDeadline(time.Now().Add(refreshEvery))
			continue
		case err != nil:
			return nil, err
		}
		// What moved was not known yet, and the counters have it already.
		if t.tracer.Time(&t.event).Before(t.before[t.event.Netns].at) {
			continue
		}
		if !t.matchFailure(&t.event) {
			t.filteredUser.Add(1)
			continue
		}
		if f := t.resolver.ResolveFailure(t.drained, &t.event, t.tracer.Time(&t.event)); f != nil {
			return f, nil
		}
	}
}

// matchFailure also looks at the connection that was there, or was evicted.
func (t *Trace) matchFailure(e *event.Event) bool {
	if t.filter.MatchEvent(e) {
		return true
	}
	if e.Failure.Other.Present != event.CTEntry {
		return false
	}
	own := e.CT
	e.CT = e.Failure.Other
	matched := t.filter.MatchEvent(e)
	e.CT = own
	return matched
}

// FailuresLost implements [Failures].
func (t *Trace) FailuresLost() (lost, missed uint64) {
	c, err := t.tracer.Counts()
	if err != nil {
		if last := t.last.Load(); last != nil {
			c = *last
		}
	}
	return c.FailuresLost + c.Lost, c.FailuresNested + c.Nested
}

// CountsBefore implements [Failures].
func (t *Trace) CountsBefore(inode uint32) drop.ConntrackCounts { return t.before[inode].counts }

// Ctnetlink implements [Failures]: its functions are in the kernel, so that
// a message to it loads nothing.
func (t *Trace) Ctnetlink() bool { return len(t.symbols.Table().Range("ctnetlink_dump_table")) > 0 }

// conntrackBaselines gives the kernel side the counters that namespaces already
// have: later values are compared with them.
func (t *Trace) conntrackBaselines(ctx context.Context) error {
	all, err := netns.List(ctx)
	if err != nil {
		return err
	}
	t.before = make(map[uint32]ctBefore, len(all))
	for _, n := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := t.conntrackBaseline(ctx, n)
		if errors.Is(err, table.ErrNoConntrack) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("namespace %d: %w", n.Inode, err)
		}
	}
	return nil
}

func (t *Trace) conntrackBaseline(ctx context.Context, n netns.Namespace) error {
	h, err := netns.Open(n)
	if err != nil {
		return nil // gone
	}
	defer h.Close()
	r := table.New(h, t.Ctnetlink())
	defer r.Close()
	stats, err := r.Stats(ctx)
	if err != nil {
		return err
	}
	t.before[n.Inode] = ctBefore{stats.Sum(), time.Now()}
	for _, c := range stats {
		b := tracer.ConntrackBaseline{
			Netns: n.Inode, CPU: uint32(c.ID), Invalid: c.Invalid, InsertFailed: c.InsertFailed,
			Drop: c.Drop, EarlyDrop: c.EarlyDrop, ClashResolve: c.ClashResolve, ChainTooLong: c.ChainTooLong,
		}
		if b == (tracer.ConntrackBaseline{Netns: b.Netns, CPU: b.CPU}) {
			continue // as of one that is new
		}
		if err := t.tracer.SetConntrackBaseline(b); err != nil {
			return err
		}
	}
	return nil
}
