package resolve

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/test/nstest"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/ktime"
)

// A namespace that only a descriptor holds is not found. It lives, and is found once a
// process is in it.
func TestANamespaceThatWasNotFoundIsLookedForAgain(t *testing.T) {
	file, inode := hiddenNamespace(t)
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.until = time.Now().Add(time.Minute) // it waits for the walk
	now, err := ktime.Now()
	if err != nil {
		t.Fatal(err)
	}
	for late, want := range map[time.Duration]string{0: "right after the drop", 4 * time.Second: "4.0 s after the drop"} {
		delete(r.spaces, inode)
		n := r.spaceOf(&event.Event{Netns: inode, Time: now - uint64(late)})
		if n.err == nil || errors.Is(n.err, errGone) || !strings.Contains(n.err.Error(), want) {
			t.Errorf("%v late: %v", late, n.err)
		}
	}
	sleeper := exec.Command("nsenter", "--net=/proc/self/fd/3", "sleep", "600")
	sleeper.ExtraFiles = []*os.File{file}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	for end := time.Now().Add(time.Minute); ; time.Sleep(findAgain / 4) {
		if n := r.space(inode, 0); n.err == nil && n.handle != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a namespace with a process in it stays unfound: %v", r.spaces[inode].err)
		}
	}
}

// Another namespace with its inode proves that one is gone.
func TestANamespaceOfAnotherCookieIsGone(t *testing.T) {
	own, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.until = time.Now().Add(time.Minute) // it waits for the walk
	n := r.space(own.Inode, 0)
	if n.cookie == 0 {
		return // before 5.14
	}
	if n := r.spaceOf(&event.Event{Netns: own.Inode, NetnsCookie: n.cookie + 1}); !errors.Is(n.err, errGone) {
		t.Errorf("got %v, want %v", n.err, errGone)
	}
}

// hiddenNamespace is held by a descriptor alone.
func hiddenNamespace(t *testing.T) (*os.File, uint32) {
	t.Helper()
	nstest.SkipUnprivileged(t)
	var file *os.File
	err := nstest.OnThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return file, uint32(st.Ino)
}
