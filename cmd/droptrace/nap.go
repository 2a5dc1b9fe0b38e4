package main

import (
	"time"

	"github.com/droptrace/droptrace/tracer/ktime"
)

// How drops are let gather: napDrops of them within napWindow are many, and the
// last of them is fresh while it is younger than napFresh.
const (
	napDrops  = 32
	napWindow = 4 * time.Millisecond
	napFresh  = 100 * time.Microsecond
	napLength = time.Millisecond
)

// naps spare the waiting for each single drop where drops come fast: it costs
// several times what the drop does. A nap is taken only where the ring was just read
// to its end, so that it holds up to a millisecond's drops, and not more.
type naps struct {
	since time.Time
	drops int
}

// due is asked before each drop. fresh, which is asked seldom, reports whether the
// one before is so new that there can be few behind it.
func (n *naps) due(now time.Time, fresh func() bool) bool {
	if now.Sub(n.since) > napWindow {
		n.since, n.drops = now, 0
	}
	if n.drops++; n.drops < napDrops {
		return false
	}
	n.since, n.drops = now, 0
	return fresh()
}

// fresh goes by the kernel's own clock, which nobody sets.
func (t *trace) fresh() bool {
	now, err := ktime.Now()
	return err == nil && int64(now-t.event.Time) < int64(napFresh)
}
