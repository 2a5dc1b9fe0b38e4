package live

import (
	"context"
	"slices"
	"time"

	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
)

const (
	// maxHeld bounds the drops that wait, of all namespaces: about 1 KB each, and
	// their packets.
	maxHeld  = 256
	heldLook = 10 * time.Millisecond
	heldTry  = 20 * time.Millisecond
	// drainGrace is what drops that wait are given when droptrace is told to end.
	drainGrace = time.Second
)

// outlasting is a context that ends some time after ctx.
func outlasting(ctx context.Context, grace time.Duration) context.Context {
	later, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, end) })
	return later
}

// held are drops whose namespace is being read. Those of others go on; within a
// namespace their order is kept.
type held struct {
	drops    []heldDrop
	finished uint64 // readings, when the drops were last tried
	hurried  bool   // Read has a deadline for them
}

type heldDrop struct {
	event *event.Event
	since time.Time
}

func (h *held) has(netns uint32) bool {
	return slices.ContainsFunc(h.drops, func(d heldDrop) bool { return d.event.Netns == netns })
}

// resolveOrHold resolves the event, or keeps it for later. Where too many wait, the
// one that has waited longest takes the event's place.
func (t *Trace) resolveOrHold() (d *drop.Drop, ok bool) {
	if !t.held.has(t.event.Netns) && t.try(heldTry) {
		return &t.drop, true
	}
	t.held.drops = append(t.held.drops, heldDrop{t.event.Clone(), time.Now()})
	if len(t.held.drops) <= maxHeld {
		return nil, false
	}
	t.release(0)
	t.resolveWithin(0)
	return &t.drop, true
}

// try resolves the event, and reports whether nothing of it is still being read.
func (t *Trace) try(wait time.Duration) bool {
	return t.resolver.Try(t.drained, &t.event, t.tracer.Time(&t.event), &t.drop, wait)
}

// resolveWithin resolves the event with what is known by then.
func (t *Trace) resolveWithin(wait time.Duration) {
	t.resolver.Resolve(t.drained, &t.event, t.tracer.Time(&t.event), &t.drop, wait)
}

// release makes a drop that was held the current event.
func (t *Trace) release(i int) {
	t.event = *t.held.drops[i].event
	t.held.drops = slices.Delete(t.held.drops, i, i+1)
}

// lookSoon has Read end soon while drops wait, and no longer once none does.
func (t *Trace) lookSoon(now time.Time) {
	waits := len(t.held.drops) > 0
	switch soon := now.Add(heldLook); {
	case waits && soon.Before(t.refreshNext):
		t.tracer.SetDeadline(soon)
	case t.held.hurried:
		t.tracer.SetDeadline(t.refreshNext)
	}
	t.held.hurried = waits
}

// unhold returns a drop that has waited for long enough: for what was being read, or
// in all. At the end none waits any longer than it takes to end.
func (t *Trace) unhold(now time.Time) *drop.Drop {
	finished := t.resolver.Finished()
	var looked []uint32
	for i := 0; i < len(t.held.drops); i++ {
		h := t.held.drops[i]
		if slices.Contains(looked, h.event.Netns) {
			continue // behind the one before it
		}
		due := t.flushed || now.Sub(h.since) >= resolve.MaxHold
		looked = append(looked, h.event.Netns)
		if !due && finished == t.held.finished {
			continue
		}
		current := t.event
		t.event = *h.event
		switch {
		case t.flushed:
			t.resolveWithin(resolve.MaxHold) // or until drained ends
		case due:
			t.resolveWithin(0)
		case !t.try(0):
			t.event = current
			continue
		}
		t.release(i)
		if d := t.wanted(&t.drop); d != nil {
			return d
		}
		i--
		looked = looked[:len(looked)-1]
	}
	t.held.finished = finished
	return nil
}
