package resolve

import (
	"context"
	"errors"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/budget"
)

// errLooking is why a drop lacks its namespace.
var errLooking = errors.New("its network namespace is still being looked up")

// lookups find the namespaces of drops. That takes a walk through /proc, which takes
// 5 µs a process: one walk serves all that were asked for before it began, beside the
// drops, and no more than a fifth of the time.
type lookups struct {
	asked map[uint32]time.Time // since when, by inode
	walk  *walk                // the last, or the one under way
	ended time.Time
	pause time.Duration
}

// walk is one look at every namespace.
type walk struct {
	*task
	began   time.Time     // once it is done, as the rest
	cost    time.Duration // without the pause before it
	listing netns.Listing
	err     error
}

// lookup finds a namespace as it is now. The error is errLooking where that is not
// known yet.
func (r *Resolver) lookup(inode uint32) (netns.Namespace, error) {
	if inode == r.own {
		return netns.Current()
	}
	l := &r.lookups
	asked, ok := l.asked[inode]
	if !ok || time.Since(asked) > MaxHold { // or whoever asked has gone on without
		asked = time.Now()
		if l.asked == nil {
			l.asked = make(map[uint32]time.Time)
		}
		l.asked[inode] = asked
	}
	for range 2 { // the one under way may have begun too early
		if l.walk == nil {
			l.walk = r.startWalk(l.pause - time.Since(l.ended))
		}
		w := l.walk
		if !r.await(w.task, MaxHold) {
			return netns.Namespace{}, errLooking
		}
		if w.began.After(asked) {
			delete(l.asked, inode)
			if w.err != nil {
				return netns.Namespace{}, w.err
			}
			return w.listing.Find(inode)
		}
		l.walk, l.ended, l.pause = nil, w.began.Add(w.cost), 4*w.cost
	}
	return netns.Namespace{}, errLooking
}

// startWalk walks after a pause.
func (r *Resolver) startWalk(pause time.Duration) *walk {
	w := &walk{}
	everyone := &namespace{info: drop.Netns{Own: true}} // it waits for no other's slot
	w.task = r.start(everyone, budget.OtherTime+max(pause, 0), nil, func(ctx context.Context) {
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
		w.began = time.Now()
		w.listing, w.err = netns.Look(ctx)
		w.cost = time.Since(w.began)
	})
	return w
}
