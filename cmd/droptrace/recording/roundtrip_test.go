package recording

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/droptrace/droptrace/resolve/drop"
)

func same(t *testing.T, want, got *drop.Drop) {
	t.Helper()
	diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}))
	if diff != "" {
		t.Errorf("drop (-written +read):\n%s", diff)
	}
}

// oneDrop writes and reads a single drop.
func oneDrop(t *testing.T, d *drop.Drop, c *drop.Capture) Record {
	t.Helper()
	var e Encoder
	b, err := e.Drop(e.Begin(nil, sampleTime), d, c, 3)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	if err := r.Read(&rec); err != nil {
		t.Fatal(err)
	}
	var none Record
	if err := r.Read(&none); !errors.Is(err, io.EOF) {
		t.Errorf("after the only drop: %v", err)
	}
	return rec
}

func TestEveryFieldComesBack(t *testing.T) {
	d := filledDrop()
	d.Time = d.Time.Local()
	rec := oneDrop(t, d, nil)
	same(t, d, rec.Drop)
	if rec.Lost != 3 {
		t.Errorf("%d lost, want 3", rec.Lost)
	}
	same(t, new(drop.Drop), func() *drop.Drop {
		got := oneDrop(t, &drop.Drop{}, nil).Drop
		got.Time = drop.Drop{}.Time // there is no time but a number
		return got
	}())
}

func TestPacketComesBackFromItsBytes(t *testing.T) {
	d, c := udpDrop(7)
	d.Packet.Mark, d.Packet.Segments, d.Packet.VLAN = 5, 3, new(uint16(12))
	rec := oneDrop(t, d, c)
	same(t, d, rec.Drop)
	if !bytes.Equal(rec.Capture.Data, c.Data) || rec.Capture.Original != c.Original ||
		rec.Capture.Link != c.Link || rec.Capture.Device != c.Device ||
		rec.Capture.Direction != c.Direction || rec.Capture.Reception != c.Reception {
		t.Errorf("capture %+v, want %+v", rec.Capture, *c)
	}
}

// A short snaplen cuts the bytes, not the drop.
func TestPacketComesBackWithoutItsBytes(t *testing.T) {
	d, c := udpDrop(7)
	for _, n := range []int{0, 14, 20, 33, 40, 41, 42, 43} {
		cut := *c
		cut.Data = c.Data[:n]
		rec := oneDrop(t, d, &cut)
		same(t, d, rec.Drop)
		if len(rec.Capture.Data) != n || rec.Capture.Original != len(c.Data) {
			t.Errorf("%d of %d bytes, want %d of %d", len(rec.Capture.Data), rec.Capture.Original, n, len(c.Data))
		}
	}
}

func TestTuplesComeBack(t *testing.T) {
	six := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	for name, tuple := range map[string]drop.Tuple{
		"v6":   {Source: six("2001:db8::1"), Destination: six("2001:db8::2"), SourcePort: 1, DestinationPort: 2, Protocol: "tcp"},
		"icmp": {Source: six("10.0.0.1"), Destination: six("10.0.0.2"), Protocol: "icmp", ICMPID: new(uint16(0)), ICMPType: new(uint8(8)), ICMPCode: new(uint8(0))},
		"none": {Protocol: "udp"},
	} {
		d, c := udpDrop(1)
		d.Conntrack.Original, d.Conntrack.NAT = &tuple, []string{"dnat"}
		same(t, d, oneDrop(t, d, c).Drop)
		d.Conntrack.Original = nil
		d.Conntrack.Reply = &tuple
		same(t, d, oneDrop(t, d, c).Drop)
		t.Log(name)
	}
}

// Many verdicts in one file, more than there is room for, each with its own drops.
func TestVerdictsAreNotMixedUp(t *testing.T) {
	const n = 3*maxVerdicts + 100
	var e Encoder
	var err error
	b := e.Begin(nil, sampleTime)
	want := func(i int) *drop.Drop {
		d, _ := udpDrop(i)
		r := *d.Rule
		r.Handle = uint64(i % (maxVerdicts + 50))
		d.Rule = &r
		return d
	}
	for i := range n {
		_, c := udpDrop(i)
		if b, err = e.Drop(b, want(i), c, 0); err != nil {
			t.Fatal(err)
		}
	}
	if b, err = e.End(b, drop.Counts{Seen: n, Delivered: n}, sampleTime); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	for i := range n {
		if err := r.Read(&rec); err != nil {
			t.Fatalf("drop %d: %v", i, err)
		}
		if w := want(i); rec.Drop.Rule.Handle != w.Rule.Handle || !rec.Drop.Time.Equal(w.Time) {
			t.Fatalf("drop %d: handle %d, want %d", i, rec.Drop.Rule.Handle, w.Rule.Handle)
		}
	}
	if err := r.Read(&rec); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
	if c, ok := r.Counts(); !ok || c.Seen != n {
		t.Errorf("counts %+v, %v", c, ok)
	}
}

// sameVerdict must see every field but those that each packet has for itself.
func TestSameVerdictComparesEveryField(t *testing.T) {
	apart := map[string]bool{
		"Time": true, "Packet": true, "Repeats": true,
		"Conntrack.Mark": true, "Conntrack.Timeout": true,
		"Conntrack.Original": true, "Conntrack.Reply": true,
	}
	var walk func(path string, typ reflect.Type, at func(*drop.Drop) reflect.Value)
	walk = func(path string, typ reflect.Type, at func(*drop.Drop) reflect.Value) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name := path + f.Name
			if apart[name] {
				continue
			}
			field := func(d *drop.Drop) reflect.Value { return at(d).Field(i) }
			if f.Type.Kind() == reflect.Struct {
				walk(name+".", f.Type, field)
				continue
			}
			whole := name == "Conntrack.Failure" // compared as one
			if !whole && f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct {
				walk(name+".", f.Type.Elem(), func(d *drop.Drop) reflect.Value { return field(d).Elem() })
			}
			a, b := filledDrop(), filledDrop()
			if !sameVerdict(a, b) {
				t.Fatal("equal drops differ")
			}
			field(b).SetZero()
			if sameVerdict(a, b) {
				t.Errorf("%s makes no difference", name)
			}
		}
	}
	walk("", reflect.TypeFor[drop.Drop](), func(d *drop.Drop) reflect.Value { return reflect.ValueOf(d).Elem() })
}
