// Package nstest gives tests network namespaces of their own, and says where a test
// can run: with root, in a guest, with a kernel or plan of probes.
//
// It imports nothing of this module, so that every package's tests can use it.
package nstest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// SkipUnprivileged skips the test where it is not run by root.
func SkipUnprivileged(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("root")
	}
}

// Namespace is a network namespace without a name or a process: nothing but its
// descriptor holds it, so that it is gone however the test ends.
type Namespace struct{ file *os.File }

// New makes a namespace that lives as long as the test. It takes root.
func New(tb testing.TB) *Namespace {
	tb.Helper()
	SkipUnprivileged(tb)
	n := &Namespace{}
	err := OnThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare network namespace: %w", err)
		}
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { n.file.Close() })
	return n
}

// FD is the namespace's descriptor; it is closed when the test ends.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Path leads to the namespace, for this process alone.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/self/fd/%d", n.FD()) }

// Inode is the namespace's.
func (n *Namespace) Inode(tb testing.TB) uint32 {
	tb.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(n.FD(), &st); err != nil {
		tb.Fatal(err)
	}
	return uint32(st.Ino)
}

// Do runs fn inside, on a thread that ends with it.
func (n *Namespace) Do(fn func() error) error {
	return OnThread(func() error {
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return fn()
	})
}

// Run runs a program inside, with input, and returns its output.
func (n *Namespace) Run(tb testing.TB, input, name string, args ...string) string {
	tb.Helper()
	out, err := n.Try(input, name, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Try is Run for a program that may fail. The error holds what the program printed
// on stderr.
func (n *Namespace) Try(input, name string, args ...string) (string, error) {
	var stdout, stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err := n.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Name returns a name that no namespace has: the prefix and a random number.
func Name(prefix string) string { return fmt.Sprintf("%s%08x", prefix, rand.Uint32()) }

// Named makes a namespace that `ip netns` lists, and removes the name when the test
// ends. It takes root.
func Named(tb testing.TB, name string) {
	tb.Helper()
	SkipUnprivileged(tb)
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		tb.Fatalf("ip netns add %s: %v: %s", name, err, out)
	}
	tb.Cleanup(func() {
		if _, err := os.Stat(named(name)); err != nil {
			return // the test has removed it
		}
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			tb.Errorf("ip netns del %s: %v: %s", name, err, out)
		}
	})
}

// Within runs fn inside a namespace that `ip netns` lists, on a thread that ends with it.
func Within(name string, fn func() error) error {
	return OnThread(func() error {
		f, err := os.Open(named(name))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", name, err)
		}
		return fn()
	})
}

func named(name string) string { return filepath.Join("/run/netns", name) }

// OnThread runs fn on a thread that ends with it, so that fn may change what belongs
// to a thread: namespaces, capabilities.
func OnThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the runtime ends the thread
		if unix.Gettid() == unix.Getpid() {
			// The first thread cannot end, and its namespace is the process's. While
			// it waits here another is taken.
			defer runtime.UnlockOSThread()
			done <- OnThread(fn)
			return
		}
		err := fmt.Errorf("function did not return")
		// Also where fn ends its goroutine, as FailNow does.
		defer func() { done <- err }()
		err = fn()
	}()
	return <-done
}
