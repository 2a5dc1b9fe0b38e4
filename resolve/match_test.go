package resolve

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
)

// dice makes up events and filters out of few values, so that they meet.
type dice struct{ *rand.Rand }

func one[T any](r dice, list ...T) T { return list[r.IntN(len(list))] }

func (r dice) address(v6 bool) string {
	if v6 {
		return one(r, "2001:db8::1", "2001:db8::2", "2001:db8:1::1")
	}
	return one(r, "192.0.2.1", "192.0.2.2", "10.0.0.1")
}

func (r dice) port() uint16 { return one[uint16](r, 80, 8080, 53, 40000) }

// packet returns an IP packet; some are ICMP errors that quote another.
func (r dice) packet(v6 bool, level int) []byte {
	proto := one[byte](r, 6, 17, 132, 47)
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, r.port())
	binary.BigEndian.PutUint16(b[2:], r.port())
	if level > 0 && r.IntN(4) == 0 {
		proto, b[0] = 1, 3
		if v6 {
			proto, b[0] = 58, 1
		}
		b = append(b[:8], r.packet(v6, 0)...)
	}
	source, destination := netip.MustParseAddr(r.address(v6)), netip.MustParseAddr(r.address(v6))
	if v6 {
		h := make([]byte, 8, 40)
		h[0], h[6], h[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(h[4:], uint16(len(b)))
		return append(append(append(h, source.AsSlice()...), destination.AsSlice()...), b...)
	}
	h := make([]byte, 12, 20)
	h[0], h[8], h[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(b)))
	if r.IntN(8) == 0 {
		h[7] = 4 // a later fragment
	}
	return append(append(append(h, source.AsSlice()...), destination.AsSlice()...), b...)
}

func (r dice) tuple(v6 bool) event.CTTuple {
	t := event.CTTuple{L3Num: 2, Proto: one[uint8](r, 6, 17, 1)}
	if v6 {
		t.L3Num = 10
	}
	copy(t.Src[:], netip.MustParseAddr(r.address(v6)).AsSlice())
	copy(t.Dst[:], netip.MustParseAddr(r.address(v6)).AsSlice())
	binary.BigEndian.PutUint16(t.SrcPort[:], r.port())
	binary.BigEndian.PutUint16(t.DstPort[:], r.port())
	return t
}

func (r dice) event() *event.Event {
	e := &event.Event{
		Type: event.Drop, Hook: event.NoHook, Protocol: 0x0800, Mark: one[uint32](r, 0, 1, 0x11),
		Netns: one[uint32](r, 4026531840, 4026532000), Reason: one[uint32](r, 2, 3),
	}
	v6 := r.IntN(2) == 0
	if v6 {
		e.Protocol = 0x86dd
	}
	e.HeaderLen = uint16(copy(e.Header[:], r.packet(v6, 1)))
	name := func(dst *[16]byte) uint32 {
		copy(dst[:], one(r, "eth0", "eth1", "veth12"))
		return 2
	}
	if r.IntN(3) > 0 {
		e.Hook, e.PF = uint8(r.IntN(5)), 2
		e.Rule.Kind = event.RuleNFT
		if e.Hook != 3 {
			e.InIndex = name(&e.InName)
		}
		if e.Hook > 1 {
			e.OutIndex = name(&e.OutName)
		}
	}
	e.DevIndex = name(&e.DevName)
	if r.IntN(2) == 0 {
		e.CT = event.CTInfo{Present: event.CTEntry, CTInfo: one[uint8](r, 0, 2, 3), Original: r.tuple(v6), Reply: r.tuple(v6)}
	}
	return e
}

func (r dice) spec() (s filter.Spec) {
	sometimes := func(dst *[]string, values ...string) {
		if r.IntN(6) == 0 {
			*dst = []string{one(r, values...)}
		}
	}
	for _, p := range []*[]string{&s.Port, &s.Sport, &s.Dport} {
		sometimes(p, "80", "8080", "53-8000", "1-65535")
	}
	for _, p := range []*[]string{&s.Host, &s.Src, &s.Dst} {
		sometimes(p, "192.0.2.1", "192.0.2.0/24", "10.0.0.0/8", "2001:db8::1", "2001:db8::/64", "::/0")
	}
	for _, p := range []*[]string{&s.Iface, &s.In, &s.Out} {
		sometimes(p, "eth0", "eth*", "veth+", "*")
	}
	sometimes(&s.Proto, "tcp", "udp", "icmp", "icmpv6", "47")
	sometimes(&s.Hook, "input", "forward", "output", "ingress")
	sometimes(&s.Mark, "1", "0x10/0x10")
	sometimes(&s.CTState, "new", "established")
	sometimes(&s.Netns, "inode:4026532000")
	sometimes(&s.Reason, "netfilter_drop")
	s.Netfilter = r.IntN(8) == 0
	return s
}

// What a filter says of a live drop it says of the recorded one.
func TestRecordedDropsMatchAsTheirEvents(t *testing.T) {
	matches := 0
	for seed := range uint64(200) {
		r := dice{rand.New(rand.NewPCG(seed, 3))}
		spec := r.spec()
		recorded, err := filter.ParseRecorded(spec)
		if err != nil {
			t.Fatal(err)
		}
		if spec.Netns != nil {
			spec.NetnsInodes = []uint32{4026532000}
		}
		if spec.Reason != nil {
			spec.ReasonNumbers = []uint32{2}
		}
		live, err := filter.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			e := r.event()
			d := dropOf(e)
			state := ""
			if d.Conntrack != nil {
				state = d.Conntrack.State
			}
			want := live.MatchEvent(e) && live.MatchResolved("", "", state)
			if got := drop.MatchDrop(recorded, d, event.Text(e.DevName[:])); got != want {
				t.Fatalf("%q matches the recorded drop: %v, the live one: %v\n%+v\nconntrack %+v", live.Describe(), got, want, d.Packet, d.Conntrack)
			}
			if want {
				matches++
			}
		}
	}
	if matches < 1000 {
		t.Errorf("only %d matched", matches)
	}
}

// dropOf is what Resolve makes of an event, without what needs this machine.
func dropOf(e *event.Event) *drop.Drop {
	d := &drop.Drop{
		Packet: drop.EventPacket(e), Netns: drop.Netns{Inode: e.Netns}, Cause: "kernel",
		Reason:    map[uint32]string{2: "NETFILTER_DROP", 3: "NO_SOCKET"}[e.Reason],
		Conntrack: conntrack.Of(&e.CT, conntrack.Context{}),
	}
	if e.Hook != event.NoHook {
		new(Resolver).resolveHook(e, d)
		d.Cause = "rule"
	}
	return d
}

// Of every kind of device the bytes begin as their link type says.
func TestCaptureBeginsAsItsLinkTypeSays(t *testing.T) {
	ip := dice{rand.New(rand.NewPCG(1, 1))}.packet(false, 0)
	ether := append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}, ip...)
	for _, tt := range []struct {
		name   string
		change func(*event.Event)
		link   drop.LinkType
		data   string
	}{
		{"Ethernet", func(*event.Event) {}, drop.LinkEthernet, fmt.Sprintf("%x", ether)},
		{"Ethernet with a tag beside it", func(e *event.Event) {
			e.Flags, e.VLANTCI, e.Bytes.VLANProto = event.VLAN, 0x2005, 0x88a8
		}, drop.LinkEthernet, fmt.Sprintf("%x88a82005%x", ether[:12], ether[12:])},
		{"no header left", func(e *event.Event) {
			e.Data, e.Bytes.LinkLength, e.Bytes.Original = ip, 0, uint32(len(ip))
		}, drop.LinkRaw, fmt.Sprintf("%x", ip)},
		{"a header of another kind", func(e *event.Event) { e.Bytes.DeviceType = 32 }, drop.LinkRaw, fmt.Sprintf("%x", ip)},
		{"no IP", func(e *event.Event) {
			e.Protocol, e.PktType = 0x88cc, 2
			e.Data, e.Bytes.LinkLength, e.Bytes.Original = []byte{2, 7}, 0, 2
		}, drop.LinkCooked, "0002" + "0001" + "00000000000000000000" + "88cc" + "0207"},
		{"without the bytes asked for", func(e *event.Event) { e.Data = nil }, drop.LinkRaw, fmt.Sprintf("%x", ip)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &event.Event{Hook: event.NoHook, Protocol: 0x0800, Data: ether}
			e.HeaderLen = uint16(copy(e.Header[:], ip))
			e.Bytes = event.PacketBytes{Original: uint32(len(ether)), LinkLength: 14, DeviceType: 1}
			tt.change(e)
			var c drop.Capture
			c.Read(e)
			if got := fmt.Sprintf("%x", c.Data); c.Link != tt.link || got != tt.data || c.Original != len(c.Data) {
				t.Errorf("link type %d, %d bytes %s\nwant %d, %s", c.Link, c.Original, got, tt.link, tt.data)
			}
		})
	}
}
