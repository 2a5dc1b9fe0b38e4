package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
	"golang.org/x/sys/unix"
)

func TestDoRunsInside(t *testing.T) {
	h := newHandle(t)
	var inside uint32
	var names []string
	err := h.Do(func() error {
		n, err := Current()
		inside = n.Inode
		if err != nil {
			return err
		}
		// Sockets too: a new namespace has a loopback and nothing else.
		links, err := net.Interfaces()
		for _, l := range links {
			names = append(names, l.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside != h.inode {
		t.Errorf("Do ran in %d, want %d", inside, h.inode)
	}
	if len(names) == 0 || names[0] != "lo" {
		t.Errorf("interfaces inside are %v", names)
	}
	outside, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	if outside.Inode == h.inode {
		t.Error("the caller was moved")
	}
}

func TestProgramsStartedInDoAreInside(t *testing.T) {
	h := newHandle(t)
	var got string
	// Many at once, so that threads are taken from each other.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if out, err := childNamespace(); err != nil || out == fmt.Sprintf("net:[%d]", h.inode) {
				t.Errorf("a program started outside is in %q (%v)", out, err)
			}
		})
	}
	if err := h.Do(func() (err error) { got, err = childNamespace(); return err }); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if want := fmt.Sprintf("net:[%d]", h.inode); got != want {
		t.Errorf("a program started inside is in %s, want %s", got, want)
	}
}

func TestDoGivesThreadsBack(t *testing.T) {
	h := newHandle(t)
	own, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if err := h.Do(func() error { return nil }); err != nil {
					t.Error(err)
				}
				if n, err := Current(); err != nil || n.Inode != own.Inode {
					t.Errorf("after Do the goroutine is in %d, want %d (%v)", n.Inode, own.Inode, err)
				}
			}
		})
	}
	wg.Wait()
	if after := openFiles(t); after != before {
		t.Errorf("%d files open after, %d before", after, before)
	}
}

// What others see as the process's namespace must not change while Do runs.
func TestDoStaysOffTheFirstThread(t *testing.T) {
	h := newHandle(t)
	own, err := inodeOf("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	var started, wg sync.WaitGroup
	for range 20 {
		started.Add(1)
		wg.Go(func() {
			h.Do(func() error { started.Done(); <-release; return nil })
		})
	}
	started.Wait()
	got, err := inodeOf("/proc/self/ns/net")
	close(release)
	wg.Wait()
	if err != nil || got != own {
		t.Errorf("/proc/self shows %d while Do runs, want %d (%v)", got, own, err)
	}
}

func TestDoNested(t *testing.T) {
	outer, inner := newHandle(t), newHandle(t)
	own, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	self, err := Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	var seen []uint32
	note := func() error { n, err := Current(); seen = append(seen, n.Inode); return err }
	err = outer.Do(func() error {
		return errors.Join(note(), inner.Do(note), self.Do(note), outer.Do(note), note())
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []uint32{outer.inode, inner.inode, own.Inode, outer.inode, outer.inode}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("ran in %v, want %v", seen, want)
	}
}

func TestDoReturnsTheFunctionsError(t *testing.T) {
	want := errors.New("mine")
	if err := newHandle(t).Do(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}

func TestDoReportsAFunctionThatEndsItsGoroutine(t *testing.T) {
	h := newHandle(t)
	if err := h.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("no error")
	}
	if err := h.Do(func() error { return nil }); err != nil {
		t.Errorf("and then: %v", err)
	}
}

func TestDoInTheOwnNamespace(t *testing.T) {
	own, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var inside Namespace
	if err := h.Do(func() (err error) { inside, err = Current(); return err }); err != nil {
		t.Fatal(err)
	}
	if inside != own {
		t.Errorf("ran in %+v, want %+v", inside, own)
	}
}

// The own namespace is all that can be had without privileges, and it is had.
func TestDoWithoutPrivilege(t *testing.T) {
	nstest.SkipUnprivileged(t)
	nobody := exec.Command("/proc/self/exe", "-test.run=^TestDoInTheOwnNamespace$", "-test.v")
	nobody.Dir = "/"
	nobody.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := nobody.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	h := newHandle(t)
	onThread(t, func() error {
		if err := dropCapabilities(); err != nil {
			return err
		}
		if _, err := h.enter(); !errors.Is(err, unix.EPERM) {
			t.Errorf("entering another namespace: %v, want EPERM", err)
		}
		return nil
	})
}

func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

func TestOpenRefusesAnotherNamespace(t *testing.T) {
	h := newHandle(t)
	before := openFiles(t)
	path := fmt.Sprintf("/proc/self/fd/%d", int(h.file.Fd()))
	for _, tt := range []struct {
		name string
		n    Namespace
		want error
	}{
		{"recycled", Namespace{Inode: h.inode + 1, Path: path}, ErrNotFound},
		{"no such process", Namespace{Inode: h.inode, Path: "/proc/4194305/ns/net"}, ErrNotFound},
		{"no such name", Namespace{Inode: h.inode, Path: "/run/netns/no-such-name"}, ErrNotFound},
		{"another kind", Namespace{Inode: h.inode, Path: "/proc/self/ns/mnt"}, errNotNamespace},
		{"plain file", Namespace{Inode: h.inode, Path: "/etc/passwd"}, errNotNamespace},
	} {
		if got, err := Open(tt.n); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
	again, err := Open(Namespace{Inode: h.inode, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if int(again.file.Fd()) < 0 || again.inode != h.inode {
		t.Errorf("opened %d as file %d", again.inode, int(again.file.Fd()))
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files open after, %d before", after, before)
	}
}

func TestClosedHandle(t *testing.T) {
	h := newHandle(t)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if fd := int(h.file.Fd()); fd != -1 {
		t.Errorf("file %d after Close", fd)
	}
	ran := false
	err := h.Do(func() error { ran = true; return nil })
	if !errors.Is(err, os.ErrClosed) || ran {
		t.Errorf("Do after Close: %v, ran %v", err, ran)
	}
}

func BenchmarkDo(b *testing.B) {
	h := newHandle(b)
	for b.Loop() {
		if err := h.Do(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCookiesTellNamespacesApart(t *testing.T) {
	seen := make(map[uint64]bool)
	for range 2 {
		h := newHandle(t)
		first, err := h.Cookie()
		if err != nil {
			t.Fatal(err)
		}
		if second, err := h.Cookie(); err != nil || second != first {
			t.Errorf("the cookie was %d, is %d, %v", first, second, err)
		}
		if first != 0 && seen[first] {
			t.Errorf("two namespaces have the cookie %d", first)
		}
		seen[first] = true
	}
}
