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
	all := event.Headerless<<1 - 1
	if missing := all &^ bytesOnly &^ tracer.LossFlags; missing != 0 {
		t.Errorf("flags %#x are in no key", missing)
	}
	tr := &Trace{}
	for flag := event.Flag(1); flag <= event.Headerless; flag <<= 1 {
		e := event.Event{Hook: event.NoHook}
		without := tr.free(&e, "tcp_v4_rcv")
		e.Flags = flag
		if with := tr.free(&e, "tcp_v4_rcv"); !reflect.DeepEqual(with, without) && tracer.LossFlags&flag == 0 {
			t.Errorf("flag %#x makes %+v of %+v, and is in no key", flag, with, without)
		}
	}
}
