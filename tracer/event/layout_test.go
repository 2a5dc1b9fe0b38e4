package event_test

import (
	"bytes"
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
		"event":     reflect.TypeFor[event.Event](),
		"ct_info":   reflect.TypeFor[event.CTInfo](),
		"ct_tuple":  reflect.TypeFor[event.CTTuple](),
		"rule_info": reflect.TypeFor[event.RuleInfo](),
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
	if uintptr(c.Size) != goType.Size() {
		t.Errorf("struct %s has %d bytes, %v has %d", name, c.Size, goType, goType.Size())
	}
	var fields []reflect.StructField
	for i := range goType.NumField() {
		if f := goType.Field(i); f.Type.Size() > 0 { // not structs.HostLayout
			fields = append(fields, f)
		}
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
	full := bytes.Repeat([]byte{1}, int(reflect.TypeFor[event.Event]().Size()))
	var e event.Event
	if err := e.Decode(full); err != nil {
		t.Fatal(err)
	}
	if err := e.Decode(full[:len(full)-len(e.Stack)*8]); err != nil {
		t.Fatal(err)
	}
	if e.Stack[0] != 0 {
		t.Error("stack of the record before is still there")
	}
}
