package nftables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// got is what `nft get element` says.
func (n *testNamespace) got(t *testing.T, set, element string) bool {
	t.Helper()
	cmd := exec.Command("nft", "get element ip t "+set+" { "+element+" }")
	var out bytes.Buffer
	cmd.Stderr = &out
	err := n.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil && !strings.Contains(out.String(), "No such file or directory") {
		t.Fatalf("nft get element %s %s: %v: %s", set, element, err, out.String())
	}
	return err == nil
}

func bounded(t *testing.T, ns Namespace, limit int64) *ruleset.Ruleset {
	t.Helper()
	ctx := budget.With(context.Background(), budget.New(limit, nil))
	s, err := Read(ctx, ns)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := s.Model(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// largeSetOf is a table with one rule that asks a set, and its elements.
func largeSetOf(typ, flags, rule string, elements int, element func(i int) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table ip t {\n set s { type %s; %s elements = {\n", typ, flags)
	for i := range elements {
		fmt.Fprintf(&b, "%s,\n", element(i))
	}
	fmt.Fprintf(&b, "} }\n chain in { type filter hook input priority 0; %s drop; }\n}\n", rule)
	return b.String()
}

// asking is the set as the only rule asks it.
func asking(t *testing.T, rules *ruleset.Ruleset) *ruleset.Set {
	t.Helper()
	for _, s := range rules.Tables[0].Chains[0].Rules[0].Statements {
		if m, ok := s.(*ruleset.Match); ok && m.Set != nil {
			return m.Set
		}
	}
	t.Fatal("the rule asks no set")
	return nil
}

// The truth is what `nft get element` says.
func TestLargeSetsAreAsked(t *testing.T) {
	const count = maxHeldElements + 100
	for name, test := range map[string]struct {
		typ, flags, rule string
		element          func(i int) string
		values           map[string][]byte
	}{
		"addresses": {"ipv4_addr", "", "ip saddr @s", func(i int) string { return fmt.Sprintf("10.0.%d.%d", i>>8, i&255) },
			map[string][]byte{"10.0.1.2": {10, 0, 1, 2}, "10.1.1.2": {10, 1, 1, 2}}},
		"networks": {"ipv4_addr", "flags interval;", "ip saddr @s", func(i int) string { return fmt.Sprintf("10.%d.%d.64/26", i>>8, i&255) },
			map[string][]byte{"10.1.2.64": {10, 1, 2, 64}, "10.1.2.127": {10, 1, 2, 127}, "10.1.2.128": {10, 1, 2, 128}, "10.1.2.63": {10, 1, 2, 63},
				"9.255.255.255": {9, 255, 255, 255}, "255.255.255.255": {255, 255, 255, 255}}},
		"ports": {"inet_service", "", "tcp dport @s", func(i int) string { return fmt.Sprint(i + 1) },
			map[string][]byte{"80": {0, 80}, "60000": {0xea, 0x60}}},
		"port intervals": {"inet_service", "flags interval;", "tcp dport @s", func(i int) string { return fmt.Sprintf("%d-%d", i*4, i*4+1) },
			map[string][]byte{"8": {0, 8}, "9": {0, 9}, "10": {0, 10}}},
		"marks": {"mark", "", "meta mark @s", func(i int) string { return fmt.Sprintf("0x%08x", i<<8) },
			map[string][]byte{"0x00000100": {0, 0, 1, 0}, "0x00000001": {0, 0, 0, 1}}},
		"concatenated": {"ipv4_addr . inet_service", "", "ip saddr . tcp dport @s", func(i int) string { return fmt.Sprintf("10.0.%d.%d . 80", i>>8, i&255) },
			map[string][]byte{"10.0.1.2 . 80": {10, 0, 1, 2, 0, 80}, "10.0.1.2 . 81": {10, 0, 1, 2, 0, 81}}},
		"concatenated intervals": {"ipv4_addr . inet_service", "flags interval;", "ip saddr . tcp dport @s",
			func(i int) string { return fmt.Sprintf("10.%d.%d.0/24 . 80-90", i>>8, i&255) },
			map[string][]byte{"10.1.2.3 . 85": {10, 1, 2, 3, 0, 85}, "10.1.2.3 . 91": {10, 1, 2, 3, 0, 91}}},
	} {
		t.Run(name, func(t *testing.T) {
			ns := newNamespace(t)
			ns.nft(t, largeSetOf(test.typ, test.flags, test.rule, count, test.element))
			s := asking(t, bounded(t, ns, 16<<20))
			if s.Ask == nil || s.Complete || len(s.Elements) > 0 {
				t.Fatalf("Ask %v, complete %v, %d elements", s.Ask != nil, s.Complete, len(s.Elements))
			}
			held := 0
			for element, value := range test.values {
				want := ruleset.NotFound
				if ns.got(t, "s", element) {
					want = ruleset.IsFound
					held++
				}
				if got := s.Ask(value); got != want {
					t.Errorf("%s: %v, want %v", element, got, want)
				}
			}
			if held == 0 || held == len(test.values) {
				t.Errorf("%d of %d values are in the set", held, len(test.values))
			}
			ns.nft(t, "add chain ip t other")
			for element, value := range test.values {
				if got := s.Ask(value); got != ruleset.MaybeThere {
					t.Errorf("%s of a ruleset that has changed: %v", element, got)
				}
			}
		})
	}
}

// The neighbour: what is small is held with its elements, and verdict maps are.
func TestSmallSetsAreHeldWithinABudget(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, largeSetOf("ipv4_addr", "flags interval;", "ip saddr @s", 100, func(i int) string { return fmt.Sprintf("10.0.%d.0/25", i) }))
	if s := asking(t, bounded(t, ns, 16<<20)); s.Ask != nil || !s.Complete || len(s.Elements) != 100 {
		t.Errorf("Ask %v, complete %v, %d elements", s.Ask != nil, s.Complete, len(s.Elements))
	}
	var b strings.Builder
	b.WriteString("table ip v {\n map m { type ipv4_addr : verdict; elements = {\n")
	for i := range maxHeldElements + 100 {
		fmt.Fprintf(&b, "10.0.%d.%d : drop,\n", i>>8, i&255)
	}
	b.WriteString("} }\n}\n")
	ns.nft(t, b.String())
	if m := bounded(t, ns, 16<<20).Tables[1].Sets[0]; !m.Complete || len(m.Elements) != maxHeldElements+100 {
		t.Errorf("verdict map: complete %v, %d elements", m.Complete, len(m.Elements))
	}
}

func TestBudgetEndsReading(t *testing.T) {
	ns := newNamespace(t)
	var b strings.Builder
	b.WriteString("table ip t {\n chain in { type filter hook input priority 0;\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "ip saddr 10.0.%d.%d tcp dport 80 counter drop\n", i>>8, i&255)
	}
	b.WriteString(" }\n}\n")
	ns.nft(t, b.String())
	small := budget.New(1<<19, nil)
	ctx := budget.With(context.Background(), small)
	if _, err := Read(ctx, ns); !errors.Is(err, budget.ErrLimit) || !strings.Contains(err.Error(), "rules not read: 0 MB limit") {
		t.Errorf("%v, %d taken", err, small.Taken())
	}
	enough := budget.New(32<<20, nil)
	ctx = budget.With(context.Background(), enough)
	s, err := Read(ctx, ns)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := enough.Taken()
	if _, err := s.Model(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("5,000 rules: %d bytes for the snapshot, %d for the model", snapshot, enough.Taken()-snapshot)
}
