package resolve

import (
	"errors"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/host/netns"
)

// However many namespaces drop for the first time, few walks through /proc find them.
func TestOneWalkFindsManyNamespaces(t *testing.T) {
	const many = 100
	r := newTaskResolver(t)
	own, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	r.own = own.Inode
	if n, err := r.lookup(own.Inode); err != nil || n.Inode != own.Inode || r.lookups.walk != nil {
		t.Errorf("our own: %v, %v, walked: %v", n, err, r.lookups.walk != nil)
	}
	// No namespace has these: inodes of nsfs begin at 0xF0000000. On a quick machine a
	// walk ends meanwhile, and answers some at once.
	var pending []uint32
	for inode := uint32(1); inode <= many; inode++ {
		switch _, err := r.lookup(inode); {
		case errors.Is(err, errLooking) && r.pending:
			pending = append(pending, inode)
		case !errors.Is(err, netns.ErrNotFound):
			t.Fatalf("inode %d: %v, pending %v", inode, err, r.pending)
		}
	}
	r.until = time.Now().Add(time.Hour)
	for _, inode := range pending {
		if _, err := r.lookup(inode); !errors.Is(err, netns.ErrNotFound) {
			t.Fatalf("inode %d: %v", inode, err)
		}
	}
	if n := r.Finished(); n > many/10 {
		t.Errorf("%d walks", n)
	}
	if len(r.lookups.asked) > 0 {
		t.Errorf("%d are still asked for", len(r.lookups.asked))
	}
}
