package live

import (
	"sync"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/drop"
)

// The limits between the reader and the writer. At 1 to 2 KB a drop they keep it
// below 20 MB, whatever the flood.
const (
	queueLength = 4096 // drops that wait to be written
	foldKeys    = 2048 // flows, and rules, that are folded apart
	foldWindow  = time.Second

	// A terminal scrolls past what a person can read; a pipe is only limited
	// by who reads it.
	terminalRate  = 100 // drops a second, in full
	terminalBurst = 200
	terminalKeys  = 64
)

// queue takes drops from the reader of the ring, which must never wait, and
// hands them to the writer, which may be slow. What is too much for the writer
// is folded.
type queue struct {
	// wake has a token where there is something new to take.
	wake chan struct{}

	mu      sync.Mutex
	drops   []drop.Drop
	notices []drop.Notice // told once each, so few
	fold    output.Folder
	pace    *pace // nil for none
	asked   bool  // for the counts so far
	closed  bool
}

// batch is what the writer takes at once, in order.
type batch struct {
	notices []drop.Notice
	drops   []drop.Drop
	folded  []output.Folded
	asked   bool      // the counts so far are to be printed
	last    bool      // nothing will follow
	due     time.Time // when folded drops want to be taken; zero for none
}

// newQueue folds sooner where a person reads.
func newQueue(terminal bool) *queue {
	q := &queue{
		wake: make(chan struct{}, 1),
		fold: output.Folder{Window: foldWindow, Keys: foldKeys},
	}
	if terminal {
		q.fold.Keys = terminalKeys
		q.pace = &pace{rate: terminalRate, burst: terminalBurst}
	}
	return q
}

// put never blocks, and keeps a copy of d. It reports whether the writer falls behind.
func (q *queue) put(d *drop.Drop, now time.Time) (behind bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := q.fold.Held()
	if !q.fold.Add(d, now, q.pressure(now)) {
		if held == 0 { // the writer has to learn when it is due
			q.signal()
		}
		return true
	}
	if q.pace != nil {
		q.pace.spend(1)
	}
	q.drops = append(q.drops, *d)
	q.signal()
	return len(q.drops) > queueLength/4
}

// pressure is that of the queue or, on a terminal, of the pace.
func (q *queue) pressure(now time.Time) output.Pressure {
	p := output.Calm
	switch n := len(q.drops); {
	case n >= queueLength:
		return output.Full
	case n >= queueLength/2:
		p = output.Strain
	}
	if q.pace != nil {
		p = max(p, q.pace.pressure(now))
	}
	return p
}

// notify may be called from any goroutine.
func (q *queue) notify(n drop.Notice) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notices = append(q.notices, n)
	q.signal()
}

// ask has the writer print the counts so far.
func (q *queue) ask() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked = true
	q.signal()
}

// close says that nothing will follow.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// signal leaves a token and never waits: one token stands for all that is new.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take moves what waits into b, whose slices are used again.
func (q *queue) take(b *batch, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(b.drops)
	clear(b.folded)
	b.drops, q.drops = q.drops, b.drops[:0]
	b.notices, q.notices = q.notices, nil
	b.folded = b.folded[:0]
	if q.closed || q.fold.Due(now) {
		b.folded = q.fold.Take(b.folded)
		if q.pace != nil {
			q.pace.spend(float64(len(b.folded)))
		}
	}
	b.asked, q.asked = q.asked, false
	b.last = q.closed
	b.due = time.Time{}
	if due, ok := q.fold.Deadline(); ok {
		b.due = due
	}
}

// pace is a token bucket: how much a person is spared.
type pace struct {
	rate, burst float64 // tokens a second, and at most
	spent       float64
	last        time.Time
}

// spend may go into debt, since what is due has to be printed.
func (p *pace) spend(n float64) { p.spent = min(p.spent+n, 2*p.burst) }

// pressure first regains what time has given.
func (p *pace) pressure(now time.Time) output.Pressure {
	if passed := now.Sub(p.last).Seconds(); passed > 0 {
		p.spent = max(p.spent-passed*p.rate, 0)
		p.last = now
	}
	switch {
	case p.spent+1 > p.burst:
		return output.Full
	case p.spent > p.burst/2:
		return output.Strain
	}
	return output.Calm
}
