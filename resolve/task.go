package resolve

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/tracer/event"
)

const (
	// limitPause is how long rules that were too much are not tried again.
	limitPause = time.Minute
	// maxTasks is how many namespaces are read at once, beside our own, and maxSlow
	// how many of them may be among those that took slowReading or longer before:
	// they must not keep all others waiting.
	maxTasks    = 4
	maxSlow     = 2
	slowReading = time.Second

	// MaxHold is how long a drop waits for rules, texts and what the rules do.
	MaxHold = 10 * time.Second
)

// errReading is why a drop lacks what has not been read yet.
var errReading = errors.New("its rules are still being read")

// tasks read what may take long beside the drops: one namespace must not keep
// another's drops waiting.
type tasks struct {
	slots    chan struct{}
	slow     chan struct{}
	life     context.Context
	end      context.CancelFunc
	finished atomic.Uint64
}

func newTasks() *tasks {
	t := &tasks{slots: make(chan struct{}, maxTasks), slow: make(chan struct{}, maxSlow)}
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

// task is one reading.
type task struct {
	begun atomic.Pointer[time.Time] // nil while it has no slot
	took  time.Duration             // once done is closed
	done  chan struct{}
	stop  context.CancelFunc
}

// spent is how long it has been running, not counting its wait for a slot.
func (t *task) spent() time.Duration {
	begun := t.begun.Load()
	if begun == nil {
		return 0
	}
	return time.Since(*begun)
}

// start runs a reading of the namespace. It gets a context with the limits; what it
// writes may be read once the task is done.
func (r *Resolver) start(n *namespace, limit time.Duration, memory *budget.Budget, run func(context.Context)) *task {
	life, stop := context.WithCancel(r.tasks.life)
	t := &task{done: make(chan struct{}), stop: stop}
	n.running.Add(1)
	go func() {
		defer n.running.Done()
		defer r.tasks.finished.Add(1)
		defer close(t.done)
		defer stop()
		if !n.info.Own {
			defer r.tasks.slot(life, n.slow.Load())()
		}
		begin := time.Now()
		t.begun.Store(&begin)
		ctx, cancel := budget.WithTime(budget.With(life, memory), limit)
		defer cancel()
		run(ctx)
		if t.took = time.Since(begin); t.took >= slowReading {
			n.slow.Store(true)
		}
	}()
	return t
}

// slot waits for a slot, and returns what gives it back. Where life ends first it has
// none, and what runs in it ends at once.
func (t *tasks) slot(life context.Context, slow bool) (release func()) {
	wanted := []chan struct{}{t.slots}
	if slow {
		wanted = []chan struct{}{t.slow, t.slots}
	}
	var held []chan struct{}
	for _, s := range wanted {
		select {
		case s <- struct{}{}:
			held = append(held, s)
		case <-life.Done():
		}
	}
	return func() {
		for _, s := range held {
			<-s
		}
	}
}

// limited is the limit that ended a reading, else the error itself.
func limited(ctx context.Context, err error) error {
	err = budget.Limited(ctx, err)
	if errors.Is(err, context.Canceled) {
		return errReading
	}
	return err
}

// await reports whether the task is done. A drop that it is not done for is to be
// tried again, unless the task has been running for longer than patience.
func (r *Resolver) await(t *task, patience time.Duration) bool {
	select {
	case <-t.done:
		return true
	default:
	}
	left := patience - t.spent()
	if left <= 0 {
		return false
	}
	if wait := min(time.Until(r.until), left); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-t.done:
			return true
		case <-timer.C:
		case <-r.tasks.life.Done():
			return false
		}
	}
	r.pending = !r.last
	return false
}

// Try is Resolve for a drop that may wait: it reports false where something of the
// drop's namespace is being read that the drop lacks, after wait at the most. d is
// what is known without. The same event may be tried again; Finished tells when that
// may lead to more.
func (r *Resolver) Try(ctx context.Context, e *event.Event, at time.Time, d *drop.Drop, wait time.Duration) (done bool) {
	r.until, r.final = time.Now().Add(wait), false
	r.resolve(ctx, e, at, d)
	return !r.pending
}

// Finished counts the readings that have come to their end.
func (r *Resolver) Finished() uint64 { return r.tasks.finished.Load() }

// Stop ends all reading, at once: what is resolved from now on is what is known. It
// may be called by any goroutine.
func (r *Resolver) Stop() { r.tasks.end() }

// memoryOf is a new budget for a reading of the namespace.
func (r *Resolver) memoryOf(n *namespace) *budget.Budget {
	if n.info.Own {
		return budget.Of(true, r.memory)
	}
	return budget.Of(false, r.others)
}

// makeRoom forgets rules of namespaces that had no drop for the longest, where those
// that are not our own are together near their limit.
func (r *Resolver) makeRoom(keep *namespace) {
	for r.others.Taken() > budget.Others*3/4 {
		var oldest *namespace
		for _, n := range r.spaces {
			if n != keep && !n.info.Own && n.nft != nil && n.nftMemory.Taken() > 0 && (oldest == nil || n.used.Before(oldest.used)) {
				oldest = n
			}
		}
		if oldest == nil {
			return
		}
		oldest.forgetRules()
	}
}

// forgetRules gives up what was read of nftables, and what was made of it.
func (n *namespace) forgetRules() {
	n.nft, n.model, n.described = nil, nil, nil
	n.whys, n.replays = whys{}, replays{}
	n.nftMemory.Release()
	n.modelMemory.Release()
}
