package live

import (
	"time"

	"github.com/droptrace/droptrace/tracer/ktime"
)

// How drops are let gather: batchDrops of them within batchWindow are many, and the
// last of them is fresh while it is younger than batchFresh.
const (
	batchDrops  = 32
	batchWindow = 4 * time.Millisecond
	batchFresh  = 100 * time.Microsecond
	batchLength = time.Millisecond
)

// batches spare the waiting for each single drop where drops come fast: it costs
// several times what the drop does. One is let gather only where the ring was just
// read to its end, so that it holds up to a millisecond's drops, and not more.
type batches struct {
	since time.Time
	drops int
}

// due is asked before each drop. fresh, which is asked seldom, reports whether the
// one before is so new that there can be few behind it.
func (n *batches) due(now time.Time, fresh func() bool) bool {
	if now.Sub(n.since) > batchWindow {
		n.since, n.drops = now, 0
	}
	if n.drops++; n.drops < batchDrops {
		return false
	}
	n.since, n.drops = now, 0
	return fresh()
}

// fresh goes by the kernel's own clock, which nobody sets.
func (t *Trace) fresh() bool {
	now, err := ktime.Now()
	return err == nil && int64(now-t.event.Time) < int64(batchFresh)
}
