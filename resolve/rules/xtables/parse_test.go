package xtables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func put16(b []byte, at int, v uint16) { binary.NativeEndian.PutUint16(b[at:], v) }
func put32(b []byte, at int, v uint32) { binary.NativeEndian.PutUint32(b[at:], v) }

func TestParseRefusesWhatTheKernelWould(t *testing.T) {
	n := newNamespace(t)
	n.load(t, "ip", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:user - [0:0]\n"+
		"-A INPUT -p udp -m udp --dport 9 -j user\n-A user -j DROP\nCOMMIT\n")
	id := TableID{"ip", "filter"}
	info, raw := n.rawTable(t, id)
	good, err := Parse(id, info, raw)
	if err != nil {
		t.Fatal(err)
	}
	const rule, policy, forward = 0, 1, 2 // entries
	at := func(i int) int { return int(good.Entries[i].Offset) }
	target := func(i int) int { return at(i) + int(good.Entries[i].TargetOffset) }
	for _, tt := range []struct {
		name  string
		spoil func(info *Info, raw []byte)
	}{
		{"another size", func(i *Info, _ []byte) { i.Size-- }},
		{"another number", func(i *Info, _ []byte) { i.Number++ }},
		{"next entry within this", func(_ *Info, b []byte) { put16(b, at(rule)+90, 8) }},
		{"no next entry", func(_ *Info, b []byte) { put16(b, at(rule)+90, 0) }},
		{"next entry behind the end", func(_ *Info, b []byte) { put16(b, at(forward)+90, 0xfff8) }},
		{"next entry not aligned", func(_ *Info, b []byte) { put16(b, at(rule)+90, good.Entries[rule].NextOffset+4) }},
		{"target within the head", func(_ *Info, b []byte) { put16(b, at(rule)+88, 8) }},
		{"target behind the entry", func(_ *Info, b []byte) { put16(b, at(rule)+88, good.Entries[rule].NextOffset) }},
		{"target smaller than a target", func(_ *Info, b []byte) { put16(b, at(rule)+88, good.Entries[rule].NextOffset-24) }},
		{"target smaller than a verdict", func(_ *Info, b []byte) { put16(b, at(policy)+88, 120) }},
		{"match of no size", func(_ *Info, b []byte) { put16(b, at(rule)+112, 0) }},
		{"match larger than the matches", func(_ *Info, b []byte) { put16(b, at(rule)+112, 0x100) }},
		{"match smaller than the matches", func(_ *Info, b []byte) { put16(b, at(rule)+112, 40) }},
		{"jump into an entry", func(_ *Info, b []byte) { put32(b, target(rule)+32, 8) }},
		{"jump behind the end", func(_ *Info, b []byte) { put32(b, target(rule)+32, 0x7fffffff) }},
		{"chain begins nowhere", func(i *Info, _ []byte) { i.HookEntry[1] = 8 }},
		{"chain begins behind the end", func(i *Info, _ []byte) { i.HookEntry[3] = i.Size }},
		{"chain begins within another", func(i *Info, _ []byte) { i.HookEntry[2] = uint32(at(policy)) }},
		{"chain ends nowhere", func(i *Info, _ []byte) { i.Underflow[1] = 8 }},
		{"chain ends before it begins", func(i *Info, _ []byte) { i.Underflow[2] = uint32(at(rule)) }},
		{"chain ends in another", func(i *Info, _ []byte) { i.Underflow[1] = uint32(at(forward)) }},
		{"two hooks with one chain", func(i *Info, _ []byte) { i.HookEntry[2], i.Underflow[2] = i.HookEntry[1], i.Underflow[1] }},
		{"entries of no hook", func(i *Info, _ []byte) { i.ValidHooks &^= 1 << 2 }},
		{"a hook more", func(i *Info, _ []byte) { i.ValidHooks |= 1 << 4 }},
		{"policy is a jump", func(_ *Info, b []byte) { put32(b, target(policy)+32, 0) }},
		{"policy is RETURN", func(_ *Info, b []byte) { put32(b, target(policy)+32, ^uint32(4)) }},
		{"no end marker", func(_ *Info, b []byte) { clear(b[len(b)-62:][:29]) }},
	} {
		spoiled, bytes := info, bytes.Clone(raw)
		tt.spoil(&spoiled, bytes)
		if b, err := Parse(id, spoiled, bytes); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v; want ErrMalformed", tt.name, b, err)
		}
	}
	if _, err := Parse(TableID{"arp", "filter"}, info, raw); err == nil {
		t.Error("no error for arp")
	}
	if _, err := Parse(id, Info{}, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestParseKeepsItsInput(t *testing.T) {
	n := newNamespace(t)
	n.load(t, "ip", "*filter\n-A INPUT -j DROP\nCOMMIT\n")
	n.send(t, "127.0.0.1", 9)
	id := TableID{"ip", "filter"}
	info, raw := n.rawTable(t, id)
	before := bytes.Clone(raw)
	b, err := Parse(id, info, raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, raw) {
		t.Error("Parse wrote to its input")
	}
	e := ruleEntry(t, b)
	if len(e.Head) != 112 || e.Packets != 1 || e.Bytes != 38 {
		t.Errorf("%d bytes of head, %d packets, %d bytes", len(e.Head), e.Packets, e.Bytes)
	}
	// The kernel's has counters and comefrom; the clean one does not.
	kernel := raw[e.Offset : e.Offset+200]
	if bytes.Equal(kernel[:112], e.Head) || !b.SameHead(e, kernel) {
		t.Error("the kernel's head is not told to be the same")
	}
	if allocs := testing.AllocsPerRun(10, func() { b.SameHead(e, kernel) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	for _, at := range []int{0, 83, 88, 90} {
		kernel[at] ^= 1
		if b.SameHead(e, kernel) {
			t.Errorf("byte %d of the head is not looked at", at)
		}
		kernel[at] ^= 1
	}
	if b.SameHead(e, kernel[:111]) || b.SameHead(e, nil) {
		t.Error("part of a head is told to be the same")
	}
}

func TestCommentsAreFound(t *testing.T) {
	n := newNamespace(t)
	n.load(t, "ip", everyTable()["raw"])
	long := strings.Repeat("long ", 51)[:255] // as many bytes as there may be
	n.iptables(t, "-A", "INPUT", "-m", "comment", "--comment", `it's "so"`, "-m", "comment", "--comment", "second")
	n.iptables(t, "-A", "INPUT", "-p", "tcp", "-m", "tcp", "--dport", "1", "-m", "comment", "--comment", long)
	n.iptables(t, "-A", "INPUT", "-j", "DROP")
	var got []string
	for _, r := range n.read(t, "ip", "filter").Table.Chains[0].Rules {
		got = append(got, r.Comment)
	}
	if diff := cmp.Diff([]string{`it's "so"`, long, ""}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzParseTable starts from tables of every kind that the kernel has had.
func FuzzParseTable(f *testing.F) {
	n := newNamespace(f)
	for family, is6 := range map[string]bool{"ip": false, "ip6": true} {
		for table, rules := range everyTable() {
			n.load(f, family, strings.ReplaceAll(rules, "@unreachable", answers(family)))
			info, raw := n.rawTable(f, TableID{family, table})
			packed, err := binary.Append(nil, binary.NativeEndian, info)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(is6, packed, raw)
		}
	}
	f.Fuzz(func(t *testing.T, is6 bool, packed, raw []byte) {
		id := TableID{"ip", "filter"}
		if is6 {
			id.Family = "ip6"
		}
		var info Info
		if _, err := binary.Decode(packed, binary.NativeEndian, &info); err != nil {
			return
		}
		info.Size = uint32(len(raw)) // or little would get any further
		b, err := Parse(id, info, raw)
		if err == nil {
			checkBlob(t, b)
		} else if !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	})
}

// checkBlob tests what is true of every table.
func checkBlob(t *testing.T, b *Blob) {
	t.Helper()
	var at uint32
	rules := 0
	for i := range b.Entries {
		e := &b.Entries[i]
		if found, ok := b.At(at); !ok || found != e || e.Offset != at {
			t.Fatalf("no entry at %d", at)
		}
		if held, ok := b.Holding(e.end() - 1); !ok || held != e {
			t.Fatalf("offset %d lies in no entry", e.end()-1)
		}
		if (e.Chain == nil) != (i == len(b.Entries)-1) {
			t.Fatalf("entry at %d: chain %v", at, e.Chain)
		}
		if e.Rule != nil {
			rules++
			if e.Policy || e.Rule.Chain != e.Chain || e.Chain.Rules[e.Rule.Number-1] != e.Rule {
				t.Fatalf("entry at %d has not its rule", at)
			}
			if e.Drops() && !e.Rule.CanDrop {
				t.Fatalf("entry at %d drops and cannot", at)
			}
		}
		at = e.end()
	}
	for _, c := range b.Table.Chains {
		rules -= len(c.Rules)
	}
	if rules != 0 || at != b.Size {
		t.Fatalf("%d rules too many, %d of %d bytes", rules, at, b.Size)
	}
	if _, ok := b.Holding(at); ok {
		t.Fatal("the end lies in an entry")
	}
}
