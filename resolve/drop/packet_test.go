package drop

import (
	"encoding/json"
	"testing"

	"github.com/droptrace/droptrace/tracer/event"
)

// TestTupleOnlyPacketInventsNothing: an evicting packet is known by its tuple,
// from which the kernel side makes up addresses, protocol and ports.
func TestTupleOnlyPacketInventsNothing(t *testing.T) {
	e := &event.Event{Flags: event.TupleOnly, Protocol: 0x0800, HeaderLen: 24}
	copy(e.Header[:], []byte{0: 0x45, 9: 17, 12: 192, 13: 0, 14: 2, 15: 2, 16: 10, 19: 1, 20: 0x27, 21: 0x10, 23: 53})
	got, err := json.Marshal(EventPacket(e))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"family":"ip","protocol":"udp","source":"192.0.2.2","source_port":10000,"destination":"10.0.0.1","destination_port":53}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
