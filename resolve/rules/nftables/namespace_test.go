package nftables

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNamespace is a namespace with rules of nftables.
type testNamespace struct{ *nstest.Namespace }

func newNamespace(t testing.TB) *testNamespace {
	t.Helper()
	return &testNamespace{nstest.New(t)}
}

// nft loads a ruleset. A second load changes the first; it does not replace it.
func (n *testNamespace) nft(t testing.TB, ruleset string) {
	t.Helper()
	n.Run(t, ruleset, "nft", "-f", "-")
}

func (n *testNamespace) iptables(t testing.TB, command string) {
	t.Helper()
	n.Run(t, "", "sh", "-c", command)
}

func (n *testNamespace) read(t testing.TB) *Snapshot {
	t.Helper()
	s, err := Read(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
