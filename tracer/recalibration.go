package tracer

import (
	"context"
	"slices"
	"time"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/ktime"
)

// Intervals between two calibrations.
const (
	recalibrateFirst = 100 * time.Millisecond
	recalibrateMost  = time.Minute // where one did not help
)

// recalibration is a calibration beside the reader of drops.
type recalibration struct {
	stale bool            // one must be done
	done  uint64          // when the one before ended, by the events' clock
	found chan calibrated // of the one under way, else nil
	end   context.CancelFunc
	// Not before this time, and how long after the one before.
	next  time.Time
	pause time.Duration
}

// checkFrame notices frames that calibration did not see of calls that it knows: beside another
// program on the tracepoint, which came or went since, the stack is another.
func (t *Tracer) checkFrame(e *event.Event) {
	if e.Flags&event.Uncalibrated == 0 || t.again.stale || e.Time < t.again.done {
		return
	}
	t.again.stale = slices.Contains(t.sites[siteKind(&t.config.Sites, e.Location)], e.Location)
}

// Recalibrate finds the homes of variables again where drops have shown that they
// moved. It waits for nothing: it is to be called now and then, by the goroutine
// that calls Read, and returns true once another calibration has come to its end.
func (t *Tracer) Recalibrate(ctx context.Context) bool {
	if t.again.found == nil {
		if t.again.stale && !time.Now().Before(t.again.next) {
			t.again.begin(ctx, t.newCalibration(t.options.Symbols))
		}
		return false
	}
	select {
	case found := <-t.again.found:
		helped := t.learn(found)
		now, _ := ktime.Now() // 0: for a drop from before it is done once more
		t.again.ended(now, helped)
	default:
		return false
	}
	if err := t.writeConfig(); err != nil {
		t.notice("not calibrated again: %v", err)
	}
	return true
}

func (r *recalibration) begin(ctx context.Context, c *calibration) {
	ctx, r.end = context.WithCancel(ctx)
	r.found = make(chan calibrated, 1)
	go func() { r.found <- c.run(ctx) }()
}

// ended is for one whose result was taken at that time. Where it found nothing new,
// the next may find nothing either: it has longer to wait.
func (r *recalibration) ended(at uint64, helped bool) {
	r.end()
	r.found, r.stale, r.done = nil, false, at
	r.pause = min(max(2*r.pause, recalibrateFirst), recalibrateMost)
	if helped {
		r.pause = recalibrateFirst
	}
	r.next = time.Now().Add(r.pause)
}

// stop waits for one that is under way.
func (r *recalibration) stop() {
	if r.found != nil {
		r.end()
		<-r.found
		r.found = nil
	}
}
