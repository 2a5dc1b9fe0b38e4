package xtables

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/test/nstest"
)

const rules = `*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:both - [0:0]
:deep - [0:0]
:unused - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "let \"them\" in" -j both
-A INPUT -p udp -g deep
-A OUTPUT -d 198.51.100.0/24 -j both
-A both -p tcp -j DROP
-A both -j deep
-A both -j RETURN
-A deep -p udp -j REJECT --reject-with icmp-port-unreachable
-A deep -m mark --mark 0x1 -j MARK --set-xmark 0x2/0xffffffff
-A unused -j DROP
COMMIT
`

// newRules loads a ruleset in a namespace of the test's own.
func newRules(t testing.TB, restore, input string) *netns.Handle {
	t.Helper()
	n := nstest.New(t)
	n.Run(t, input, restore)
	h, err := netns.Open(netns.Namespace{Inode: n.Inode(t), Path: n.Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func readFilter(t testing.TB, h *netns.Handle, family string) *Blob {
	t.Helper()
	b, err := Read(h, TableID{Family: family, Name: "filter"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// describe lists the rules as `-S` would number them, with what reach found.
func describe(b *Blob) string {
	var out strings.Builder
	for _, e := range b.Entries {
		switch {
		case e.Policy:
			fmt.Fprintf(&out, "%s policy %s hooks %05b drops %v\n", e.Chain.Name, e.Chain.Policy, e.Hooks, e.Drops())
		case e.Rule != nil:
			fmt.Fprintf(&out, "%s %d hooks %05b drops %v\n", e.Chain.Name, e.Rule.Number, e.Hooks, e.Drops())
		}
	}
	return out.String()
}

func TestChainsNumbersAndReachOfARealTable(t *testing.T) {
	b := readFilter(t, newRules(t, "iptables-legacy-restore", rules), "ip")
	want := `INPUT 1 hooks 00010 drops false
INPUT 2 hooks 00010 drops false
INPUT 3 hooks 00010 drops false
INPUT policy drop hooks 00010 drops true
FORWARD policy accept hooks 00100 drops false
OUTPUT 1 hooks 01000 drops false
OUTPUT policy accept hooks 01000 drops false
both 1 hooks 01010 drops true
both 2 hooks 01010 drops false
both 3 hooks 01010 drops false
deep 1 hooks 01010 drops true
deep 2 hooks 01010 drops false
unused 1 hooks 00000 drops true
`
	if got := describe(b); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if n := uint32(len(b.Entries)); n != b.Info.Number {
		t.Errorf("%d entries, the kernel counts %d", n, b.Info.Number)
	}
}

func TestTextsAreThoseOfTheSaveProgram(t *testing.T) {
	h := newRules(t, "iptables-legacy-restore", rules)
	b := readFilter(t, h, "ip")
	texts, err := Texts(context.Background(), h, b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range b.Table.Chains {
		for _, r := range c.Rules {
			got = append(got, texts[r])
		}
	}
	var want []string
	for line := range strings.Lines(rules) {
		if strings.HasPrefix(line, "-A") {
			want = append(want, strings.TrimSpace(line))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTextsOfAChangedTableAreRefused(t *testing.T) {
	h := newRules(t, "iptables-legacy-restore", rules)
	b := readFilter(t, h, "ip")
	err := h.Do(func() error {
		return exec.Command("iptables-legacy", "-A", "deep", "-j", "DROP").Run()
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Texts(context.Background(), h, b); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
}

func TestIPv6(t *testing.T) {
	h := newRules(t, "ip6tables-legacy-restore", strings.ReplaceAll(strings.ReplaceAll(rules,
		"198.51.100.0/24", "2001:db8::/32"), "icmp-port", "icmp6-port"))
	b := readFilter(t, h, "ip6")
	if got := strings.Count(describe(b), "drops true"); got != 4 {
		t.Errorf("%d entries drop, want 4:\n%s", got, describe(b))
	}
}

func TestLookingCreatesNoTable(t *testing.T) {
	h := newRules(t, "true", "")
	for range 2 {
		ids, err := Tables(h)
		if err != nil || len(ids) != 0 {
			t.Errorf("got %v, %v in a namespace without tables", ids, err)
		}
	}
}

func TestAnOffsetInsideAnEntryIsNoEntry(t *testing.T) {
	b := readFilter(t, newRules(t, "iptables-legacy-restore", rules), "ip")
	for i := range b.Entries {
		e := &b.Entries[i]
		if found, ok := b.At(e.Offset); !ok || found != e {
			t.Errorf("entry at %d not found", e.Offset)
		}
		if _, ok := b.At(e.Offset + 8); ok {
			t.Errorf("offset %d passed for an entry", e.Offset+8)
		}
		if held, ok := b.Holding(e.Offset + 8); !ok || held != e {
			t.Errorf("offset %d is not held by the entry at %d", e.Offset+8, e.Offset)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ip", []byte{}, uint32(15), uint32(0), uint32(0))
	f.Add("ip6", make([]byte, 400), uint32(14), uint32(0), uint32(168))
	f.Fuzz(func(t *testing.T, family string, raw []byte, hooks, entry, underflow uint32) {
		info := Info{ValidHooks: hooks}
		for i := range info.HookEntry {
			info.HookEntry[i], info.Underflow[i] = entry*uint32(i), underflow*uint32(i)
		}
		b, err := Parse(TableID{Family: family, Name: "filter"}, info, raw)
		if err == nil {
			describe(b)
		}
	})
}

func BenchmarkRead10k(b *testing.B) {
	var input strings.Builder
	input.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for i := range 10000 {
		fmt.Fprintf(&input, "-A INPUT -s 10.%d.%d.1 -j DROP\n", i/256, i%256)
	}
	input.WriteString("COMMIT\n")
	h := newRules(b, "iptables-legacy-restore", input.String())
	b.ReportAllocs()
	for b.Loop() {
		readFilter(b, h, "ip")
	}
}
