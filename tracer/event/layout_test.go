package event_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/bpf"
	"github.com/droptrace/droptrace/tracer/event"
)

// The C side is read from the BTF of the embedded object: a member moved in
// bpf/event.h and not here would read another one's bytes.
func TestEventHasTheLayoutOfTheKernelSide(t *testing.T) {
	spec, err := bpf.LoadKernel()
	if err != nil {
		t.Fatal(err)
	}
	for name, goType := range map[string]reflect.Type{
		"event":        reflect.TypeFor[event.Event](),
		"packet_bytes": reflect.TypeFor[event.PacketBytes](),
		"ct_info":      reflect.TypeFor[event.CTInfo](),
		"ct_tuple":     reflect.TypeFor[event.CTTuple](),
		"socket_info":  reflect.TypeFor[event.SocketInfo](),
		"rule_info":    reflect.TypeFor[event.RuleInfo](),
	} {
		var c *btf.Struct
		if err := spec.Types.TypeByName(name, &c); err != nil {
			t.Fatal(err)
		}
		compare(t, name, c, goType)
	}
}

func compare(t *testing.T, name string, c *btf.Struct, goType reflect.Type) {
	t.Helper()
	size := goType.Size()
	var fields []reflect.StructField
	for i := range goType.NumField() {
		f := goType.Field(i)
		if f.Name == "Data" { // what follows the record
			size = f.Offset
			break
		}
		if f.Type.Size() > 0 { // not structs.HostLayout
			fields = append(fields, f)
		}
	}
	if uintptr(c.Size) != size {
		t.Errorf("struct %s has %d bytes, %v has %d", name, c.Size, goType, size)
	}
	if len(fields) != len(c.Members) {
		t.Fatalf("struct %s has %d members, %v has %d", name, len(c.Members), goType, len(fields))
	}
	for i, m := range c.Members {
		if uintptr(m.Offset.Bytes()) != fields[i].Offset {
			t.Errorf("%s.%s lies at %d, %v.%s at %d", name, m.Name, m.Offset.Bytes(),
				goType, fields[i].Name, fields[i].Offset)
		}
	}
}

func TestFlagsCountOnWithoutAGap(t *testing.T) {
	if event.VLAN != 1<<0 || event.HasStack != 1<<4 || event.Conntrack != 1<<16 {
		t.Errorf("VLAN %#x, HasStack %#x, Conntrack %#x", event.VLAN, event.HasStack, event.Conntrack)
	}
}

func TestDecodeRefusesAShortRecord(t *testing.T) {
	var e event.Event
	if err := e.Decode(make([]byte, 64)); !errors.Is(err, event.ErrShort) {
		t.Errorf("got %v, want ErrShort", err)
	}
}

func TestDecodeWithoutStackClearsTheOldOne(t *testing.T) {
	var e event.Event
	withStack := (&event.Event{Flags: event.HasStack, Stack: [20]uint64{1}}).AppendRaw(nil)
	if err := e.Decode(withStack); err != nil || e.Stack[0] != 1 {
		t.Fatalf("stack %v, error %v", e.Stack, err)
	}
	if err := e.Decode((&event.Event{}).AppendRaw(nil)); err != nil {
		t.Fatal(err)
	}
	if e.Stack[0] != 0 {
		t.Error("stack of the record before is still there")
	}
}

func TestDataFollowsTheStackIfThereIsOne(t *testing.T) {
	for _, flags := range []event.Flag{0, event.HasStack} {
		in := event.Event{Flags: flags, Bytes: event.PacketBytes{Captured: 3, Original: 1500}, Data: []byte("abc")}
		if flags != 0 {
			in.Stack[19] = 7
		}
		var out event.Event
		raw := in.AppendRaw(nil)
		if err := out.Decode(raw); err != nil {
			t.Fatal(err)
		}
		if string(out.Data) != "abc" || out.Stack != in.Stack {
			t.Errorf("flags %#x: data %q, stack %v", flags, out.Data, out.Stack)
		}
		c := out.Clone()
		clear(raw)
		if string(c.Data) != "abc" {
			t.Errorf("flags %#x: the clone's data are %q once the ring moved on", flags, c.Data)
		}
	}
}

func TestDecodeGivesNoMoreDataThanThereAre(t *testing.T) {
	raw := (&event.Event{Bytes: event.PacketBytes{Captured: 1000}, Data: []byte("abc")}).AppendRaw(nil)
	var e event.Event
	if err := e.Decode(raw); err != nil || string(e.Data) != "abc" {
		t.Errorf("data %q, error %v", e.Data, err)
	}
}

func TestHeadersAreThoseOfTheLastRecord(t *testing.T) {
	var e event.Event
	for _, source := range []byte{1, 2} {
		in := event.Event{Protocol: 0x0800, HeaderLen: 20}
		copy(in.Header[:], []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, source, 192, 0, 2, 9})
		if err := e.Decode(in.AppendRaw(nil)); err != nil {
			t.Fatal(err)
		}
		if got, want := e.Headers().Source.As4(), [4]byte{192, 0, 2, source}; got != want {
			t.Errorf("source %v, want %v", got, want)
		}
	}
}
