package ipset

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// tested is what `ipset test` says.
func (n *namespace) tested(t *testing.T, set, entry string) bool {
	t.Helper()
	cmd := exec.Command("ipset", "test", set, entry)
	var out bytes.Buffer
	cmd.Stderr = &out
	err := n.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil && !strings.Contains(out.String(), "is NOT in set") {
		t.Fatalf("ipset test %s %s: %v: %s", set, entry, err, out.String())
	}
	return err == nil
}

func ip4(a, b, c, d byte) []byte { return []byte{a, b, c, d} }

// Sets of the types that this kernel has, each with more elements than are kept. The truth is what
// `ipset test` says.
func TestLargeSetsAreAsked(t *testing.T) {
	type question struct {
		entry string
		value []byte
	}
	port := func(protocol byte, n uint16) []byte { return []byte{protocol, byte(n >> 8), byte(n)} }
	iface := func(name string) []byte { return append([]byte(name), make([]byte, ifNameSize-len(name))...) }
	ip6 := func(last byte) []byte { return append([]byte{0x20, 1, 0x0d, 0xb8}, append(make([]byte, 11), last)...) }
	for typ, test := range map[string]struct {
		entry     func(i int) string
		questions []question
	}{
		"hash:ip": {func(i int) string { return fmt.Sprintf("10.0.%d.%d", i>>8, i&255) },
			[]question{{"10.0.1.2", ip4(10, 0, 1, 2)}, {"10.1.1.2", ip4(10, 1, 1, 2)}}},
		"hash:ip family inet6": {func(i int) string { return fmt.Sprintf("2001:db8::%x", i) },
			[]question{{"2001:db8::7", ip6(7)}, {"fd00::7", append([]byte{0xfd}, append(make([]byte, 14), 7)...)}}},
		"hash:net": {func(i int) string { return fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255) },
			[]question{{"10.1.2.77", ip4(10, 1, 2, 77)}, {"11.1.2.77", ip4(11, 1, 2, 77)}, {"10.200.0.1", ip4(10, 200, 0, 1)}}},
		"hash:ip,port": {func(i int) string { return fmt.Sprintf("10.0.%d.%d,udp:53", i>>8, i&255) },
			[]question{{"10.0.1.2,udp:53", slices.Concat(ip4(10, 0, 1, 2), port(17, 53))}, {"10.0.1.2,tcp:53", slices.Concat(ip4(10, 0, 1, 2), port(6, 53))}}},
		"hash:ip,port,net": {func(i int) string { return fmt.Sprintf("10.0.%d.%d,tcp:80,192.0.2.0/24", i>>8, i&255) },
			[]question{{"10.0.1.2,tcp:80,192.0.2.9", slices.Concat(ip4(10, 0, 1, 2), port(6, 80), ip4(192, 0, 2, 9))},
				{"10.0.1.2,tcp:80,192.0.3.9", slices.Concat(ip4(10, 0, 1, 2), port(6, 80), ip4(192, 0, 3, 9))}}},
		"hash:net,iface": {func(i int) string { return fmt.Sprintf("10.%d.%d.0/24,eth0", i>>8, i&255) },
			[]question{{"10.1.2.3,eth0", slices.Concat(ip4(10, 1, 2, 3), iface("eth0"))}, {"10.1.2.3,eth1", slices.Concat(ip4(10, 1, 2, 3), iface("eth1"))}}},
		"bitmap:port range 0-65535": {func(i int) string { return fmt.Sprint(i) },
			[]question{{"80", port(6, 80)}, {"60000", port(17, 60000)}}},
		"bitmap:ip range 10.0.0.0/16": {func(i int) string { return fmt.Sprintf("10.0.%d.%d", i>>8, i&255) },
			[]question{{"10.0.1.2", ip4(10, 0, 1, 2)}, {"10.0.200.2", ip4(10, 0, 200, 2)}}},
	} {
		t.Run(typ, func(t *testing.T) {
			ns := newNamespace(t)
			var input strings.Builder
			fmt.Fprintf(&input, "create s %s\n", typ)
			for i := range maxElements + 100 {
				fmt.Fprintf(&input, "add s %s\n", test.entry(i))
			}
			ns.restore(t, input.String())
			sets, err := Read(budget.With(context.Background(), budget.New(16<<20, nil)), ns)
			if err != nil {
				t.Fatal(err)
			}
			s := sets["s"]
			if s == nil || s.Ask == nil || len(s.Elements) > 0 || s.Complete {
				t.Fatalf("%+v", s)
			}
			held := 0
			for _, q := range test.questions {
				want := ruleset.NotFound
				if ns.tested(t, "s", q.entry) {
					want = ruleset.IsFound
					held++
				}
				if got := s.Ask(q.value); got != want {
					t.Errorf("%s: %v, want %v", q.entry, got, want)
				}
			}
			if held == 0 || held == len(test.questions) {
				t.Errorf("%d of %d values are in the set", held, len(test.questions))
			}
		})
	}
}

// A network that a nomatch element takes out is asked like any other value.
func TestAskOfNoMatch(t *testing.T) {
	ns := newNamespace(t)
	var input strings.Builder
	input.WriteString("create s hash:net\nadd s 172.16.0.0/12\nadd s 172.16.5.0/24 nomatch\n")
	for i := range maxElements {
		fmt.Fprintf(&input, "add s 10.%d.%d.0/24\n", i>>8, i&255)
	}
	ns.restore(t, input.String())
	sets, err := Read(budget.With(context.Background(), budget.New(16<<20, nil)), ns)
	if err != nil {
		t.Fatal(err)
	}
	if got := sets["s"].Ask(ip4(172, 16, 4, 1)); got != ruleset.IsFound {
		t.Error(got)
	}
	if got := sets["s"].Ask(ip4(172, 16, 5, 1)); got != ruleset.NotFound {
		t.Error(got)
	}
}

// The neighbour: small sets are held as they are without a budget.
func TestSmallSetsAreHeldWithinABudget(t *testing.T) {
	ns := newNamespace(t)
	ns.restore(t, "create a hash:ip\nadd a 192.0.2.1\ncreate l list:set\nadd l a\ncreate e hash:net\n")
	bounded, err := Read(budget.With(context.Background(), budget.New(1<<20, nil)), ns)
	if err != nil {
		t.Fatal(err)
	}
	if a := bounded["a"]; !a.Complete || len(a.Elements) != 1 || a.Ask != nil || len(bounded["l"].Members) != 1 || !bounded["e"].Complete {
		t.Errorf("%+v", a)
	}
}

func TestBudgetEndsReading(t *testing.T) {
	ns := newNamespace(t)
	var input strings.Builder
	for i := range 40 {
		fmt.Fprintf(&input, "create s%d hash:ip\n", i)
		for j := range 1000 {
			fmt.Fprintf(&input, "add s%d 10.0.%d.%d\n", i, j>>8, j&255)
		}
	}
	ns.restore(t, input.String())
	b := budget.New(2<<20, nil)
	if _, err := Read(budget.With(context.Background(), b), ns); err == nil || !strings.Contains(err.Error(), "rules not read: 2 MB limit") {
		t.Error(err)
	}
	if b.Taken() > 2<<20 {
		t.Errorf("%d bytes taken", b.Taken())
	}
}
