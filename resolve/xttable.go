package resolve

import (
	"errors"
	"fmt"
	"time"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/ktime"
)

// xtTable is a legacy table as it was when it began to be watched.
type xtTable struct {
	*xtables.Blob
	watched Watched           // nil where nobody watches
	prints  map[uint32]uint64 // of its entries, by offset

	// since is when it was there, by the clock of events: a drop from before may
	// be another table's.
	since uint64
	// unchanged asks the kernel whether the table is still this one.
	unchanged func() (bool, error)
	asked     lastAsked
	replaced  bool

	read    bool
	texts   map[*ruleset.Rule]string
	err     error
	reading *task // the texts
}

// forget ends the watch of tables that are gone.
func forget(tables map[xtables.TableID]*xtTable) {
	for _, t := range tables {
		if t.watched != nil {
			t.watched.Forget()
		}
	}
}

// readXT reads every iptables-legacy table of the namespace and has the kernel
// side watch its drop rules.
func (r *Resolver) readXT(n *namespace) error {
	now := r.now()
	if n.handle == nil {
		return n.err
	}
	again := !n.xtRead.IsZero() && !n.info.Own
	if now.Sub(n.xtRead) < rereadEvery || again && !r.reread.affords(now) {
		n.xtDue = true // its next drop may be long in coming
		return nil
	}
	if again {
		defer func() { r.reread.spent += r.now().Sub(now) }()
	}
	n.xtRead, n.xtDue = now, false
	ids, err := xtables.Tables(n.handle)
	if err != nil {
		return err
	}
	old := n.xt
	defer func() { forget(old) }()
	changing := false
	n.xt, n.described = make(map[xtables.TableID]*xtTable, len(ids)), nil
	n.xtMemory.Release()
	n.xtMemory = r.memoryOf(n)
	for _, id := range ids {
		t, e := n.watchXT(id, r.Watcher)
		if e != nil {
			changing = changing || errors.Is(e, xtables.ErrChanging)
			err = errors.Join(err, fmt.Errorf("namespace %s: %w", n.info.Label(), e))
			continue
		}
		n.xt[id] = t
	}
	if n.xtLost++; !changing {
		n.xtLost = 0
	}
	// One that was replaced meanwhile is quiet at the next try; what is never found
	// waits for its next drop.
	n.xtDue = changing && n.xtLost < watchTries
	return err
}

// watchTries bounds the attempts at a table that changes meanwhile.
const watchTries = 3

// watchXT reads a table and has it watched. Only where it reads the same again
// afterwards is the blob that is watched the one that was read.
func (n *namespace) watchXT(id xtables.TableID, watch Watcher) (*xtTable, error) {
	for range watchTries {
		blob, err := xtables.ReadWithin(n.xtMemory, n.handle, id)
		if err != nil {
			return nil, err
		}
		t := &xtTable{Blob: blob, unchanged: func() (bool, error) { return xtables.Unchanged(n.handle, blob) }}
		if t.since, err = ktime.Now(); err != nil {
			return nil, err
		}
		if watch == nil {
			return t, nil
		}
		if t.watched, err = watch.Watch(n.handle.Do, blob); err != nil {
			return nil, err
		}
		same, err := xtables.Unchanged(n.handle, blob)
		if err != nil {
			return nil, err
		}
		if same {
			return t, nil
		}
	}
	return nil, fmt.Errorf("iptables-legacy table %s: %w", id.Name, xtables.ErrChanging)
}

// holds reports whether the entry is the one that the kernel side printed. The
// table's address does not tell: its memory is given to a later one.
func (t *xtTable) holds(e *xtables.Entry, print uint64) bool {
	known, ok := t.prints[e.Offset]
	if !ok {
		if t.prints == nil {
			t.prints = make(map[uint32]uint64)
		}
		known = t.watched.Print(e.Offset)
		t.prints[e.Offset] = known
	}
	return known != 0 && known == print
}

// still reports whether the table is the one that was read. Its address does not
// tell: that of a table two replacements ago is what the allocator gives out next,
// and the counters' addresses with it.
func (t *xtTable) still(e *event.Event) bool {
	if t.replaced || e.Time < t.since {
		return false
	}
	return t.asked.about(e) || t.asked.ask(func() error {
		same, err := t.unchanged()
		if t.replaced = err == nil && !same; t.replaced {
			err = xtables.ErrChanging
		}
		return err
	}) == nil
}

// Rewatch reads the legacy tables again that changed when they could not be read, and
// returns when it is to be called next: the zero time where nothing is due. Without it
// the rules of a table stay unknown until its next drop, and that one's too.
func (r *Resolver) Rewatch() (next time.Time) {
	now := r.now()
	for _, n := range r.spaces {
		if !n.xtDue {
			continue
		}
		if now.Sub(n.xtRead) >= rereadEvery {
			r.rereadXT(n)
		}
		at := n.xtRead.Add(rereadEvery)
		if !at.After(now) { // others have taken the time
			at = now.Add(rereadEvery)
		}
		if n.xtDue && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
