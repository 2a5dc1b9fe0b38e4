package calibrate

import (
	"os"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
	"golang.org/x/sys/unix"
)

func TestTheFirstThreadStaysWhereItIs(t *testing.T) {
	nstest.SkipUnprivileged(t)
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	// Goroutines begin on any thread: of many, some would begin on the first.
	for range 200 {
		n, err := NewNamespace()
		if err != nil {
			t.Fatal(err)
		}
		var tid int
		n.Do(func() error { tid = unix.Gettid(); return nil })
		if tid == unix.Getpid() {
			t.Error("the namespace took the process's first thread")
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := os.Readlink("/proc/self/ns/net"); err != nil || after != before {
		t.Errorf("the process is in %s, was in %s: %v", after, before, err)
	}
}
