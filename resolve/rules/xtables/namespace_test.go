package xtables

import (
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNamespace is a namespace with tables of iptables-legacy.
type testNamespace struct{ *nstest.Namespace }

func newNamespace(t testing.TB) testNamespace {
	t.Helper()
	return testNamespace{nstest.New(t)}
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
	n.Run(t, ruleset, legacyProgram(family, "-restore"))
}

func (n testNamespace) iptables(t testing.TB, args ...string) {
	t.Helper()
	n.Run(t, "", "iptables-legacy", args...)
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
	return n.Run(t, "", "cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")
}

// send sends datagrams of some bytes to ports of the loopback.
func (n testNamespace) send(t testing.TB, address string, ports ...int) {
	t.Helper()
	n.Run(t, "", "ip", "link", "set", "lo", "up")
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
