package replay

import (
	"bytes"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ip6 is a packet from 2001:db8::1 to ::2 with the headers and bytes behind it.
func ip6(next byte, rest ...byte) *Packet {
	b := make([]byte, 40, 40+len(rest))
	b[0], b[5], b[6], b[7] = 0x60, byte(len(rest)), next, 64
	copy(b[8:], []byte{0x20, 1, 0xd, 0xb8, 15: 1})
	copy(b[24:], []byte{0x20, 1, 0xd, 0xb8, 15: 2})
	b = append(b, rest...)
	return &Packet{EtherType: etherIPv6, Bytes: b, Length: len(b), PacketType: -1, UID: -1, GID: -1}
}

func field(base ruleset.Base, offset, length int) ruleset.Field {
	f, _ := ruleset.Payload(base, offset, length)
	return f
}

func exthdr(kind, number uint8, offset, length int) ruleset.Field {
	f, _ := ruleset.Extension(kind, number, offset, length)
	return f
}

func TestFieldsAreReadAsTheKernelReadsThem(t *testing.T) {
	udpHeader := []byte{3, 232, 0, 80, 0, 8, 0, 0}
	cut := func(n int) *Packet { p := udp(80); p.Bytes = p.Bytes[:n]; return p }
	fragmented := func(offset byte) *Packet { p := udp(80); p.Bytes[7] = offset; return p }
	options := udp(80)
	options.Bytes = append(append(append([]byte{0x46}, options.Bytes[1:20]...), 1, 1, 7, 0), options.Bytes[20:]...)
	options.Length = len(options.Bytes)
	destOptions := ip6(destOptions, append([]byte{protoUDP, 0, 1, 4, 0, 0, 0, 0}, udpHeader...)...)
	laterFragment := ip6(fragment, append([]byte{protoUDP, 0, 0, 8, 0, 0, 0, 1}, udpHeader...)...)
	firstFragment := ip6(fragment, append([]byte{protoUDP, 0, 0, 1, 0, 0, 0, 1}, udpHeader...)...)
	here := udp(80)
	here.In = Interface{Known: true}
	noLength := udp(80)
	noLength.Length = 0
	noLength.Bytes = noLength.Bytes[:20]
	tests := []struct {
		name     string
		packet   *Packet
		field    ruleset.Field
		presence Presence
		want     []byte
	}{
		{"port", udp(80), ruleset.DestinationPort, Present, []byte{0, 80}},
		{"port behind options", options, ruleset.DestinationPort, Present, []byte{0, 80}},
		{"port of a later fragment", fragmented(1), ruleset.DestinationPort, NotKnown, nil},
		{"port that was not recorded", cut(22), ruleset.DestinationPort, NotKnown, nil},
		{"port behind the end", noLength, ruleset.DestinationPort, NotKnown, nil},
		{"byte behind the packet", udp(80), field(ruleset.Transport, 8, 1), Absent, nil},
		{"behind UDP", options, field(ruleset.Inner, 0, 1), Absent, nil},
		{"protocol of a later fragment", fragmented(1), ruleset.L4Protocol, Present, []byte{protoUDP}},
		{"address", udp(80), ruleset.IPSource, Present, []byte{10, 0, 0, 1}},
		{"port behind IPv6's options", destOptions, ruleset.DestinationPort, Present, []byte{0, 80}},
		{"protocol behind them", destOptions, ruleset.L4Protocol, Present, []byte{protoUDP}},
		{"IPv6's next header stays", destOptions, ruleset.IP6NextHeader, Present, []byte{60}},
		{"port of IPv6's later fragment", laterFragment, ruleset.DestinationPort, NotKnown, nil},
		{"two bytes at an odd place of one", fragmented(1), field(ruleset.Transport, 1, 2), Absent, nil},
		{"port of IPv6's first fragment", firstFragment, ruleset.DestinationPort, Present, []byte{0, 80}},
		{"fragment header is there", laterFragment, exthdr(0, fragment, 0, 0), Present, []byte{1}},
		{"fragment header is not there", destOptions, exthdr(0, fragment, 0, 0), Present, []byte{0}},
		{"field of a header that is not there", destOptions, exthdr(0, fragment, 4, 4), Absent, nil},
		{"IPv4 option", options, exthdr(2, 7, 0, 0), Present, []byte{1}},
		{"no IPv4 option", udp(80), exthdr(2, 7, 0, 0), Present, []byte{0}},
		{"interface's name", udp(80), ruleset.InName, Present, append([]byte("eth0"), make([]byte, 12)...)},
		{"no interface is an empty name", here, ruleset.InName, Present, make([]byte, 16)},
		{"interface that is not known", destOptions, ruleset.InName, NotKnown, nil},
		{"MAC of a packet of this host", here, ruleset.SourceMAC, Absent, nil},
		{"MAC that was not recorded", udp(80), ruleset.SourceMAC, NotKnown, nil},
		{"no socket", udp(80), ruleset.SocketUID, Absent, nil},
		{"socket that is not known", destOptions, ruleset.SocketUID, NotKnown, nil},
		{"length", udp(80), ruleset.Length, Present, []byte{0, 0, 0, 28}},
		{"mark", udp(80), ruleset.Mark, Present, []byte{0, 0, 0, 0}},
		{"connection of a first packet", udp(80), ruleset.CTOrigDestPort, Present, []byte{0, 80}},
		{"group without an environment", udp(80), ruleset.InGroup, NotKnown, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := New(input(statements{is(tt.field, 0)})...)
			r := &run{f: f, hook: Hook{Family: "ip", Name: "input"}}
			got := r.read(r.start(tt.packet), f.slots[tt.field])
			if got.presence != tt.presence || !bytes.Equal(got.bytes, tt.want) {
				t.Errorf("presence %d, value %x; want %d, %x", got.presence, got.bytes, tt.presence, tt.want)
			}
		})
	}
}

func TestNegationFailsWithoutTheField(t *testing.T) {
	p := udp(80)
	p.Bytes = p.Bytes[:22] // no port any more
	p.Length = len(p.Bytes)
	rules := input(statements{isNot(ruleset.DestinationPort, 22), say(ruleset.Drop)})
	if got := At(rules, Hook{Family: "ip", Name: "input"}, p, nil, Options{}); got.Verdict != Accepted {
		t.Errorf("verdict is %d", got.Verdict)
	}
}

// FuzzAt has the evaluation read packets of any bytes: it must end without a
// panic, and what it is sure of must not change when less is known.
func FuzzAt(f *testing.F) {
	f.Add(udp(80).Bytes, false, uint16(28))
	f.Add(ip6(fragment, 17, 0, 0, 8, 0, 0, 0, 1).Bytes, true, uint16(0))
	f.Add(ip6(authHeader, 6, 255, 0, 8).Bytes, true, uint16(100))
	var rules []statements
	for _, field := range []ruleset.Field{
		ruleset.DestinationPort, ruleset.TCPFlags, ruleset.L4Protocol, ruleset.IPSource, ruleset.IP6Destination,
		exthdr(0, fragment, 4, 2), exthdr(1, 2, 0, 0), exthdr(2, 7, 1, 1), field(ruleset.Inner, 3, 2),
	} {
		rules = append(rules, statements{isNot(field, 0), mark(uint64(field))}, statements{is(field, 80), say(ruleset.Drop)})
	}
	rules = append(rules, statements{&ruleset.Header{Size: 20, Options: true, Short: ruleset.ShortDrops}, say(ruleset.Accept)})
	nat := &ruleset.NAT{Kind: ruleset.Masquerade, Known: true}
	rules = append(rules, statements{&ruleset.Assign{Field: ruleset.DestinationPort, Value: []byte{0, 1}, Known: true}},
		statements{limit(), nat}, statements{dport(1), say(ruleset.Drop)})
	fw := New(input(rules...)...)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool, length uint16) {
		p := &Packet{EtherType: etherIPv4, Bytes: b, Length: max(int(length), len(b)), PacketType: -1, UID: -1, GID: -1}
		h := Hook{Family: "ip", Name: "input"}
		if v6 {
			p.EtherType = etherIPv6
		}
		whole := fw.At(h, p, nil, Options{Steps: true})
		p.Bytes = b[:len(b)/2]
		part := fw.At(h, p, nil, Options{})
		if part.Verdict != CannotKnow && part.Verdict != whole.Verdict && whole.Verdict != CannotKnow {
			t.Fatalf("%d of the whole, %d of its half", whole.Verdict, part.Verdict)
		}
	})
}
