package nftables

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNamespace is a network namespace without a name: nothing but its
// descriptor holds it, so that it is gone however the test ends.
type testNamespace struct {
	f *os.File
}

func newNamespace(t testing.TB) *testNamespace {
	t.Helper()
	var f *os.File
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare network namespace: %w", err)
		}
		var err error
		f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &testNamespace{f: f}
}

// Do makes a testNamespace a Namespace.
func (n *testNamespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return fn()
	})
}

// onThread runs fn on a thread that ends with it.
func onThread(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the runtime ends the thread
		done <- fn()
	}()
	return <-done
}

// run runs a program inside, with input, and returns its output.
func (n *testNamespace) run(t testing.TB, input, name string, args ...string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := n.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// nft loads a ruleset. A second load changes the first; it does not replace it.
func (n *testNamespace) nft(t testing.TB, ruleset string) {
	t.Helper()
	n.run(t, ruleset, "nft", "-f", "-")
}

func (n *testNamespace) iptables(t testing.TB, command string) {
	t.Helper()
	n.run(t, "", "sh", "-c", command)
}

func (n *testNamespace) read(t testing.TB) *Snapshot {
	t.Helper()
	s, err := Read(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
