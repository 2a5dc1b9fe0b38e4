package nstest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestANamespaceIsAnother(t *testing.T) {
	n := New(t)
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		t.Fatal(err)
	}
	var inside string
	if err := n.Do(func() (err error) { inside, err = os.Readlink("/proc/thread-self/ns/net"); return err }); err != nil {
		t.Fatal(err)
	}
	program := n.Run(t, "", "readlink", "/proc/self/ns/net")
	if uint32(own.Ino) == n.Inode(t) || program != inside+"\n" {
		t.Errorf("inode %d, ours is %d; a thread is in %s, a program in %s", n.Inode(t), own.Ino, inside, program)
	}
}

func TestWhereATestRuns(t *testing.T) {
	everywhere := func(testing.TB) {}
	notHere := func(tb testing.TB) { NotInGuests(tb, "slow") }
	notOn := func(tb testing.TB) { NotOnKernel(tb, "6.1", "slow") }
	notWith := func(tb testing.TB) { NotWithPlan(tb, "fentry", "slow") }
	for _, tt := range []struct {
		guest, plan string
		says        func(testing.TB)
		runs        bool
	}{
		{"", "", notHere, true}, {"", "fentry", notWith, true}, {"", "", OnlyInGuests, false},
		{"6.1", "auto", everywhere, true}, {"6.1", "auto", notHere, false},
		{"6.1", "auto", notOn, false}, {"6.12", "auto", notOn, true}, {"6.1:short", "auto", notOn, true},
		{"6.12", "auto", notWith, true}, {"6.12", "fentry", notWith, false},
	} {
		t.Run(tt.guest+" "+tt.plan, func(t *testing.T) {
			t.Setenv(guestVariable, tt.guest)
			t.Setenv(planVariable, tt.plan)
			r := &recorder{TB: t}
			tt.says(r)
			if r.skipped == tt.runs {
				t.Errorf("skipped: %v", r.skipped)
			}
		})
	}
}

// recorder notes that a test would be skipped.
type recorder struct {
	testing.TB
	skipped bool
}

func (r *recorder) Skip(...any) { r.skipped = true }
