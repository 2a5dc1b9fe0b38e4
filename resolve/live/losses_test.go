package live

import (
	"reflect"
	"testing"

	"github.com/droptrace/droptrace/tracer"
	"github.com/droptrace/droptrace/tracer/event"
)

// The first lost record of a kind speaks for all of it: a flag that only some have
// must not change what it says.
func TestLossesOfOneKindHaveAllFlagsInCommonThatTell(t *testing.T) {
	const bytesOnly = event.VLAN | event.Socket | event.InCall | event.HasStack | event.HeaderCut | event.Nonlinear
	all := event.NATHere<<1 - 1
	if missing := all &^ bytesOnly &^ tracer.LossFlags; missing != 0 {
		t.Errorf("flags %#x are in no key", missing)
	}
	tr := &Trace{}
	for flag := event.Flag(1); flag <= event.NATHere; flag <<= 1 {
		e := event.Event{Hook: event.NoHook}
		without := tr.free(&e, "tcp_v4_rcv")
		e.Flags = flag
		if with := tr.free(&e, "tcp_v4_rcv"); !reflect.DeepEqual(with, without) && tracer.LossFlags&flag == 0 {
			t.Errorf("flag %#x makes %+v of %+v, and is in no key", flag, with, without)
		}
	}
}

// A buffer is blank where nothing tells what it was to be: a frame that came has a
// protocol, a segment that is to be sent a socket's header.
func TestABlankBufferHasNothing(t *testing.T) {
	tr := &Trace{}
	for _, test := range []struct {
		e    event.Event
		want bool
	}{
		{event.Event{Hook: event.NoHook}, true},
		{event.Event{Hook: event.NoHook, Protocol: 0x0800}, false},
		{event.Event{Hook: event.NoHook, Length: 1}, false},
		{event.Event{Hook: event.NoHook, HeaderLen: 40}, false},
	} {
		if got := tr.free(&test.e, "netif_napi_add_weight_locked").Blank; got != test.want {
			t.Errorf("%+v: %v", test.e, got)
		}
	}
}
