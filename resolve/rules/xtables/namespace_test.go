package xtables

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNamespace has no name and no process: nothing but its handle holds it, so
// that it is gone however the test ends.
type testNamespace struct{ *netns.Handle }

func newNamespace(t testing.TB) testNamespace {
	t.Helper()
	made := make(chan error)
	var h *netns.Handle
	go unshare(made, func() (err error) {
		current, err := netns.Current()
		if err != nil {
			return err
		}
		h, err = netns.Open(current)
		return err
	})
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return testNamespace{h}
}

// unshare runs fn in a new namespace, on a thread that ends with it.
func unshare(done chan<- error, fn func() error) {
	runtime.LockOSThread() // and never unlock
	if unix.Gettid() == unix.Getpid() {
		// The first thread cannot end. While it waits here another is taken.
		defer runtime.UnlockOSThread()
		inner := make(chan error)
		go unshare(inner, fn)
		done <- <-inner
		return
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		done <- fmt.Errorf("unshare network namespace: %w", err)
		return
	}
	done <- fn()
}

// run runs a program inside, with input, and returns its output.
func (n testNamespace) run(t testing.TB, input, name string, args ...string) string {
	t.Helper()
	out, err := n.try(input, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n testNamespace) try(input, name string, args ...string) (string, error) {
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

// legacyProgram is a program of iptables-legacy for the family.
func legacyProgram(family, suffix string) string {
	if family == "ip6" {
		return "ip6tables-legacy" + suffix
	}
	return "iptables-legacy" + suffix
}

// load replaces the table that the ruleset names.
func (n testNamespace) load(t testing.TB, family, ruleset string) {
	t.Helper()
	n.run(t, ruleset, legacyProgram(family, "-restore"))
}

func (n testNamespace) iptables(t testing.TB, args ...string) {
	t.Helper()
	n.run(t, "", "iptables-legacy", args...)
}

func (n testNamespace) read(t testing.TB, family, table string) *Blob {
	t.Helper()
	b, err := Read(n, TableID{family, table})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names are the tables that exist, as the kernel says.
func (n testNamespace) names(t testing.TB) string {
	t.Helper()
	return n.run(t, "", "cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")
}

// send sends datagrams of some bytes to ports of the loopback.
func (n testNamespace) send(t testing.TB, address string, ports ...int) {
	t.Helper()
	n.run(t, "", "ip", "link", "set", "lo", "up")
	err := n.Do(func() error {
		for i, port := range ports {
			c, err := net.Dial("udp", net.JoinHostPort(address, fmt.Sprint(port)))
			if err != nil {
				return err
			}
			// An answer to an earlier one may come as an error: sent it was.
			c.Write(make([]byte, 10+i))
			c.Close()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rawTable reads a table's bytes as the kernel gives them.
func (n testNamespace) rawTable(t testing.TB, id TableID) (info Info, raw []byte) {
	t.Helper()
	err := n.Do(func() error {
		s, err := openSocket(id)
		if err != nil {
			return err
		}
		defer s.close()
		info, raw, err = readOnce(id.Name, s.getsockopt)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return info, raw
}

// openFiles counts the process's descriptors.
func openFiles(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
