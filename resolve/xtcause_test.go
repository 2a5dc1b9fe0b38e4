package resolve

import (
	"encoding/binary"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer/event"
)

// Offsets of the one table that the tests below speak of: a drop rule, then the
// policy of INPUT, then the end.
const (
	ruleAt    = 0
	policyAt  = 152
	blobAt    = 0xffff888000001000
	entrySize = 152 // struct ipt_standard
)

func printed(offset uint32) uint64 { return uint64(offset) + 1 }

type fakeWatch struct{ forgotten *int }

func (fakeWatch) Address() uint64            { return blobAt }
func (fakeWatch) Replaced() bool             { return false }
func (fakeWatch) Print(offset uint32) uint64 { return printed(offset) }
func (f fakeWatch) Forget()                  { *f.forgotten++ }

// newTable is `*filter :INPUT DROP -A INPUT -j DROP` as the kernel hands it out.
func newTable(t *testing.T) *xtTable {
	t.Helper()
	entry := func(target string, verdict int32) []byte {
		b := make([]byte, entrySize)
		binary.NativeEndian.PutUint16(b[88:], 112)
		binary.NativeEndian.PutUint16(b[90:], entrySize)
		copy(b[112+2:], target)
		binary.NativeEndian.PutUint32(b[112+32:], uint32(verdict))
		return b
	}
	raw := append(entry("", -1), entry("", -1)...)
	raw = append(raw, entry("ERROR", 0)...)
	info := xtables.Info{ValidHooks: 1 << 1, Number: 3, Size: uint32(len(raw))}
	info.HookEntry[1], info.Underflow[1] = ruleAt, policyAt
	blob, err := xtables.Parse(xtables.TableID{Family: "ip", Name: "filter"}, info, raw)
	if err != nil {
		t.Fatal(err)
	}
	unchanged := func() (bool, error) { return true, nil }
	return &xtTable{Blob: blob, watched: fakeWatch{}, read: true, since: 1000, unchanged: unchanged}
}

func TestLegacyAnswersAreNoSurerThanTheirEvidence(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(e *event.Event)
		want   drop.Certainty
		cause  string
		number int
	}{
		{"the rule that counted", func(e *event.Event) {}, drop.Certain, "rule", 1},
		{"the policy that counted", func(e *event.Event) { e.Rule.Offset, e.Rule.RuleHandle = policyAt, printed(policyAt) }, drop.Certain, "policy", 0},
		{"a blob that is gone", func(e *event.Event) { e.Rule.Address++ }, drop.Unknown, "rule", 0},
		{"other bytes at the offset", func(e *event.Event) { e.Rule.Entry[0] = 1 }, drop.Unknown, "rule", 0},
		{"another table in its memory", func(e *event.Event) { e.Rule.RuleHandle++ }, drop.Unknown, "rule", 0},
		{"bytes that could not be had", func(e *event.Event) { e.Rule.RuleHandle = 0 }, drop.Unknown, "rule", 0},
		{"the target that was seen", func(e *event.Event) { e.Rule.Method = event.MethodXTTarget }, drop.Certain, "rule", 1},
		{"a table that came after its drop", func(e *event.Event) { e.Rule.Method, e.Time = event.MethodXTTarget, e.Time-1 }, drop.Unknown, "rule", 0},
		{"no entry at the offset", func(e *event.Event) { e.Rule.Offset = 8 }, drop.Unknown, "rule", 0},
		{"several that counted", func(e *event.Event) { e.Rule.Method = event.MethodXTCounterMany }, drop.Probable, "rule", 1},
		{"more rules than were compared", func(e *event.Event) { e.Flags |= event.XTCapped }, drop.Probable, "rule", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := newTable(t)
			n := &namespace{xt: map[xtables.TableID]*xtTable{table.ID: table}}
			e := &event.Event{Hook: 1, PF: netfilter.IPv4, Time: table.since}
			e.Rule = event.RuleInfo{Kind: event.RuleXT, Method: event.MethodXTCounter,
				Family: netfilter.IPv4, Address: blobAt, Offset: ruleAt, RuleHandle: printed(ruleAt)}
			copy(e.Rule.Table[:], "filter")
			copy(e.Rule.Entry[:], table.Entries[0].Head)
			c.change(e)
			d := &drop.Drop{Hook: "input", Attribution: drop.Attribution{Certainty: drop.Certain}}
			r, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			r.resolveCause(t.Context(), n, e, d)
			if d.Attribution.Certainty != c.want || d.Cause != c.cause || d.Rule.Number != c.number {
				t.Errorf("got %s, %s, rule %d; want %s, %s, rule %d", d.Attribution.Certainty,
					d.Cause, d.Rule.Number, c.want, c.cause, c.number)
			}
		})
	}
}

// The allocator hands out again the address of the table before the last one.
func TestAnotherTableAtTheSameAddress(t *testing.T) {
	table := newTable(t)
	asked := 0
	table.unchanged = func() (bool, error) {
		asked++
		return false, nil
	}
	n := &namespace{xt: map[xtables.TableID]*xtTable{table.ID: table}}
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e := &event.Event{Hook: 1, PF: netfilter.IPv4, Time: table.since}
		e.Rule = event.RuleInfo{Kind: event.RuleXT, Method: event.MethodXTTarget,
			Family: netfilter.IPv4, Address: blobAt, Offset: ruleAt}
		copy(e.Rule.Table[:], "filter")
		copy(e.Rule.Entry[:], table.Entries[0].Head)
		d := &drop.Drop{Hook: "input", Attribution: drop.Attribution{Certainty: drop.Certain}}
		r.resolveCause(t.Context(), n, e, d)
		if d.Attribution.Certainty != drop.Unknown || d.Rule.Number != 0 {
			t.Errorf("got %s of %+v", d.Attribution.Certainty, d.Rule)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times of what is known to be another table", asked)
	}
}

// What was asked holds for drops from before, and for none since.
func TestATableIsAskedForAgain(t *testing.T) {
	table, times := newTable(t), 0
	table.unchanged = func() (bool, error) {
		times++
		return true, nil
	}
	still := func(time uint64) bool { return table.still(&event.Event{Time: time}) }
	if !still(table.since+1) || times != 1 {
		t.Fatalf("asked %d times", times)
	}
	if !still(table.since) || times != 1 {
		t.Errorf("a drop from before: asked %d times", times)
	}
	if !still(uint64(table.asked)+1) || times != 2 {
		t.Errorf("a drop since: asked %d times", times)
	}
}

func TestTablesOfAnEndedNamespaceAreForgotten(t *testing.T) {
	table, forgotten := newTable(t), 0
	table.watched = fakeWatch{&forgotten}
	r := &Resolver{spaces: map[uint32]*namespace{7: {xt: map[xtables.TableID]*xtTable{table.ID: table}}}}
	r.release(nil)
	if forgotten != 1 {
		t.Errorf("forgotten %d times", forgotten)
	}
}
