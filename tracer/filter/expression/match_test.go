package expression_test

import (
	"slices"
	"testing"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// datagram is an IPv4 packet to port 53 with n bytes of payload, the last a 7.
func datagram(n int) []byte {
	b := []byte{0x45, 0, byte((28 + n) >> 8), byte(28 + n), 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 0, 53, 0, byte(8 + n), 0, 0}
	b = append(b, make([]byte, n)...)
	b[len(b)-1] = 7
	return b
}

// recorded is the event of a packet of which the kernel had data, from the
// link-layer header on.
func recorded(data []byte, link int) *event.Event {
	e := &event.Event{
		Type: event.Drop, Protocol: 0x0800, Data: data,
		Bytes: event.PacketBytes{Captured: uint32(len(data)), Original: uint32(len(data)), LinkLength: uint16(link), DeviceType: 1},
	}
	e.HeaderLen = uint16(copy(e.Header[:], data[link:]))
	return e
}

func change(e *event.Event, f func(*event.Event)) *event.Event {
	f(e)
	return e
}

// An expression sees a frame, whatever is left of it.
func TestWhatAnExpressionSaysOfAnEvent(t *testing.T) {
	ethernet := slices.Concat([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}, datagram(400))
	whole := func() *event.Event { return recorded(ethernet, 14) }
	bare := func() *event.Event { return recorded(datagram(400), 0) }
	tagged := func() *event.Event {
		return change(whole(), func(e *event.Event) { e.Flags, e.VLANTCI, e.Bytes.VLANProto = event.VLAN, 0x2007, 0x8100 })
	}
	header := func() *event.Event { // without -w: what every record has
		return change(whole(), func(e *event.Event) { e.Data, e.Bytes.Captured = nil, 0 })
	}
	strange := func() *event.Event { // 14 bytes of a header that is not Ethernet's
		return change(whole(), func(e *event.Event) { e.Bytes.DeviceType = 512 })
	}
	tunnel := func() *event.Event { // its outer header still lies in front
		outer := slices.Concat(ethernet[:14], []byte{0x45, 0, 1, 0xc0, 0, 0, 0, 0, 64, 4, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2})
		return recorded(append(outer, datagram(400)...), 34)
	}
	for _, tt := range []struct {
		text string
		e    *event.Event
		want expression.Verdict
	}{
		{"udp port 53", whole(), expression.Yes},
		{"udp port 53", bare(), expression.Yes},
		{"udp port 53", header(), expression.Yes},
		{"udp port 53", strange(), expression.Yes},
		{"udp port 53 and len = 442", tunnel(), expression.Yes},
		{"udp port 53", tagged(), expression.Yes},
		{"udp port 54", header(), expression.No},
		{"arp", bare(), expression.No},
		{"ether src 02:00:00:00:00:01", whole(), expression.Yes},
		{"ether src 02:00:00:00:00:01", tagged(), expression.Yes},
		{"ether src 02:00:00:00:00:01", bare(), expression.No},
		{"ether src 02:00:00:00:00:01", header(), expression.Undecided},
		{"ether src 02:00:00:00:00:01", strange(), expression.No},
		{"vlan 7", tagged(), expression.Yes},
		{"vlan 7 and udp port 53", tagged(), expression.Yes},
		{"vlan 8", tagged(), expression.No},
		{"vlan", whole(), expression.No},
		{"udp[407] = 7", whole(), expression.Yes},
		{"udp[407] = 7", bare(), expression.Yes},
		{"udp[407] = 7", header(), expression.Undecided},
		{"udp[408] = 7", whole(), expression.No}, // behind the packet's end
		{"udp[8] = 0", header(), expression.Yes},
		{"len = 442", whole(), expression.Yes},
		{"len = 442", bare(), expression.Yes},
		{"len = 442", header(), expression.Yes},
		{"vlan and len = 446", tagged(), expression.Yes},
		{"len = 442", tagged(), expression.Yes},
	} {
		got, err := compile(t, tt.text).Event(tt.e)
		if err != nil || got != tt.want {
			t.Errorf("%q: %v, want %v (link %d, data %d, tci %#x), error %v", tt.text, got, tt.want, tt.e.Bytes.LinkLength, len(tt.e.Data), tt.e.VLANTCI, err)
		}
	}
}
