package resolve

import (
	"context"
	"errors"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/ktime"
)

// Prepare reads the legacy tables that it has not read yet, of every namespace: a
// counter can only be compared with a value from before the drop. It lets those go
// that nobody else has any more.
func (r *Resolver) Prepare(ctx context.Context) error {
	all, err := netns.List(ctx)
	if err != nil {
		return err
	}
	r.release(all)
	for _, n := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h, err := netns.Open(n)
		if err != nil {
			continue // gone meanwhile
		}
		ids, err := xtables.Tables(h)
		h.Close()
		if err != nil || r.watched(n.Inode, ids) {
			continue
		}
		if err := r.readXT(r.spaceAt(n)); err != nil {
			r.notify(err.Error())
		}
	}
	return nil
}

// release closes the namespaces that are none of those found: an open one lives on,
// and its interfaces with it, whose other ends and names somebody waits for. Those
// that could not be opened are forgotten, too: the inode may be another's by now.
func (r *Resolver) release(found []netns.Namespace) {
	alive := make(map[uint32]bool, len(found))
	for _, n := range found {
		alive[n.Inode] = true
	}
	for inode, n := range r.spaces {
		if n.handle == nil || !alive[inode] {
			n.close()
			delete(r.spaces, inode)
		}
	}
}

// watched reports whether these tables, all that a namespace has, were read and are
// still there: one that was replaced is watched before its first drop.
func (r *Resolver) watched(inode uint32, ids []xtables.TableID) bool {
	n := r.spaces[inode]
	for _, id := range ids {
		if n == nil || n.xt[id] == nil {
			return false
		}
		if w := n.xt[id].watched; w != nil && w.Replaced() {
			return false
		}
	}
	return true
}

// space returns what is known of a namespace, looking it up the first time. One that
// was not found yet is looked up again. late is how long ago its drop was.
func (r *Resolver) space(inode uint32, late time.Duration) *namespace {
	n, ok := r.spaces[inode]
	if ok && !n.due() {
		return n
	}
	found, err := r.lookup(inode)
	if errors.Is(err, errLooking) {
		return &namespace{info: drop.Netns{Inode: inode}, err: err}
	}
	if ok {
		n.close()
		delete(r.spaces, inode)
	}
	return r.keep(openNamespace(found, err, inode, r.own, late))
}

// spaceAt is space for a namespace that was just found.
func (r *Resolver) spaceAt(found netns.Namespace) *namespace {
	if n, ok := r.spaces[found.Inode]; ok {
		if !n.due() {
			return n
		}
		n.close()
		delete(r.spaces, found.Inode)
	}
	return r.keep(openNamespace(found, nil, found.Inode, r.own, 0))
}

// keep makes room for the namespace.
func (r *Resolver) keep(n *namespace) *namespace {
	if len(r.spaces) >= netns.OpenAtMost() {
		for inode, old := range r.spaces {
			old.close()
			delete(r.spaces, inode)
			break
		}
	}
	r.spaces[n.info.Inode] = n
	return n
}

// age is how long ago the event was; 0 where that is not known.
func age(e *event.Event) time.Duration {
	now, err := ktime.Now()
	if err != nil || now < e.Time {
		return 0
	}
	return time.Duration(now - e.Time)
}

// spaceOf is the namespace that an event is from. Its inode may have been given out
// again since: that of a cookie is never another.
func (r *Resolver) spaceOf(e *event.Event) *namespace {
	n := r.space(e.Netns, age(e))
	if n.cookie != 0 && e.NetnsCookie != 0 && n.cookie != e.NetnsCookie {
		return &namespace{info: drop.Netns{Inode: e.Netns}, err: errGone}
	}
	return n
}
