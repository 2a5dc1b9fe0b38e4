package resolve

import (
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/test/nstest"
)

// A table that changed just after it was read is read again without a drop.
func TestATableThatChangedTooSoonIsReadAgain(t *testing.T) {
	nstest.SkipUnprivileged(t)
	own, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	n := openNamespace(own, nil, own.Inode, own.Inode, 0)
	if n.err != nil {
		t.Fatal(n.err)
	}
	defer n.close()
	start := time.Now()
	now := start
	r := &Resolver{spaces: map[uint32]*namespace{own.Inode: n}, memory: budget.New(budget.All, nil), now: func() time.Time { return now }}
	read := func() {
		t.Helper()
		if err := r.readXT(n); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if next := r.Rewatch(); !next.IsZero() {
		t.Errorf("due at %v, nothing changed", next.Sub(start))
	}
	now = start.Add(rereadEvery / 4) // a drop shows that it changed
	read()
	if next := r.Rewatch(); !next.Equal(start.Add(rereadEvery)) {
		t.Errorf("due after %v, want %v", next.Sub(start), rereadEvery)
	}
	if !n.xtRead.Equal(start) {
		t.Error("it was read before that")
	}
	now = start.Add(rereadEvery)
	if next := r.Rewatch(); !next.IsZero() || !n.xtRead.Equal(now) {
		t.Errorf("read at %v, due at %v", n.xtRead.Sub(start), next.Sub(start))
	}
}

// A namespace whose legacy tables change all the time is read again only while that
// costs the others' drops little.
func TestRereadingLegacyTablesIsBounded(t *testing.T) {
	nstest.SkipUnprivileged(t)
	own, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name  string
		own   uint32
		reads bool
	}{{"our own", own.Inode, true}, {"another", 0, false}} {
		n := openNamespace(own, nil, own.Inode, v.own, 0)
		if n.err != nil {
			t.Fatal(n.err)
		}
		defer n.close()
		now := time.Now()
		r := &Resolver{spaces: map[uint32]*namespace{own.Inode: n}, now: func() time.Time { return now }}
		r.memory = budget.New(budget.All, nil)
		r.others = budget.New(budget.Others, r.memory)
		read := func() bool {
			if err := r.readXT(n); err != nil {
				t.Fatal(err)
			}
			return n.xtRead.Equal(now)
		}
		if !read() {
			t.Errorf("%s: not read the first time", v.name)
		}
		now = now.Add(rereadEvery)
		r.reread = share{spent: 2 * shareBurst, last: now}
		if got := read(); got != v.reads || n.xtDue == v.reads {
			t.Errorf("%s: read again %v, due %v", v.name, got, n.xtDue)
		}
		if next := r.Rewatch(); !v.reads && !next.Equal(now.Add(rereadEvery)) {
			t.Errorf("%s: next look after %v", v.name, next.Sub(now))
		}
		now = now.Add(2 * shareOf * shareBurst)
		if r.Rewatch(); !v.reads && !n.xtRead.Equal(now) {
			t.Errorf("%s: not read when there was time again", v.name)
		}
	}
}
