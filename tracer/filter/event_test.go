package filter_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/droptrace/droptrace/tracer/event"
)

// flow is what a packet or a tuple is built from.
type flow struct {
	proto        uint8
	src, dst     string
	sport, dport uint16
}

func (f flow) addrs() (src, dst netip.Addr) {
	return netip.MustParseAddr(f.src), netip.MustParseAddr(f.dst)
}

// ports returns the first bytes of the transport header: ports, or for ICMP a
// type, a code and an id.
func (f flow) ports() []byte {
	b := make([]byte, 20)
	if f.proto == 1 || f.proto == 58 {
		b[0] = byte(f.sport)
		binary.BigEndian.PutUint16(b[4:], f.dport)
		return b
	}
	binary.BigEndian.PutUint16(b, f.sport)
	binary.BigEndian.PutUint16(b[2:], f.dport)
	return b
}

// header builds an IPv4 or IPv6 packet around payload.
func (f flow) header(payload []byte) []byte {
	src, dst := f.addrs()
	var b []byte
	if src.Is4() {
		b = make([]byte, 20)
		b[0], b[8], b[9] = 0x45, 64, f.proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
	} else {
		b = make([]byte, 40)
		b[0], b[6], b[7] = 0x60, f.proto, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
	}
	return append(b, payload...)
}

func (f flow) packet() []byte { return f.header(f.ports()) }

func (f flow) tuple() event.CTTuple {
	src, dst := f.addrs()
	t := event.CTTuple{L3Num: 2, Proto: f.proto}
	if src.Is6() {
		t.L3Num = 10
	}
	copy(t.Src[:], src.AsSlice())
	copy(t.Dst[:], dst.AsSlice())
	binary.BigEndian.PutUint16(t.SrcPort[:], f.sport)
	binary.BigEndian.PutUint16(t.DstPort[:], f.dport)
	return t
}

// newEvent is a drop of a packet in which netfilter had no part.
func newEvent(b []byte) *event.Event {
	e := &event.Event{Type: event.Drop, Hook: event.NoHook, Protocol: 0x0800}
	setHeader(e, b)
	if len(b) > 0 && b[0]>>4 == 6 {
		e.Protocol = 0x86dd
	}
	return e
}

func setHeader(e *event.Event, b []byte) {
	e.HeaderLen = uint16(copy(e.Header[:], b))
}

// ctinfo of a packet in a direction: IP_CT_NEW and IP_CT_ESTABLISHED_REPLY.
const (
	original = 2
	reply    = 3
)

func track(e *event.Event, ctinfo uint8, orig, rep flow) *event.Event {
	e.CT = event.CTInfo{Present: event.CTEntry, CTInfo: ctinfo, Original: orig.tuple(), Reply: rep.tuple()}
	return e
}

// show prints what a filter reads of an event.
func show(e *event.Event) string {
	return fmt.Sprintf("hook %d pf %d rule %d flags %#x in %q out %q dev %q netns %d reason %d mark %#x\n"+
		"header %#04x %x (of %d)\nct %d/%d original %+v reply %+v",
		e.Hook, e.PF, e.Rule.Kind, e.Flags, e.InName, e.OutName, e.DevName, e.Netns, e.Reason, e.Mark,
		e.Protocol, e.Packet(), e.HeaderLen, e.CT.Present, e.CT.CTInfo, e.CT.Original, e.CT.Reply)
}
