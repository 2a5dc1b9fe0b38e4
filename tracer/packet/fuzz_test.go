package packet_test

import (
	"testing"

	"github.com/droptrace/droptrace/tracer/packet"
)

func FuzzParse(f *testing.F) {
	quoted := ipv6(44, fragment6(17, 0, true, udp(53, 4000, "abc")))
	for _, b := range [][]byte{
		ipv4(6, tcp(40022, 80, 2, "")),
		ipv4(1, icmp(3, 3, 0, ipv4(17, udp(1, 2, "")))),
		ipv6(0, extension(43, 2, extension(58, 1, icmp(1, 4, 0, quoted)))),
		ipv4(47, join(be16(0xb000), be16(0x0800), make([]byte, 12))),
		arp(packet.ARPReply),
	} {
		for _, e := range []packet.EtherType{packet.EtherIPv4, packet.EtherIPv6, packet.EtherARP} {
			f.Add(uint16(e), b)
		}
	}
	f.Add(uint16(packet.EtherVLAN), join(be16(5), be16(0x86dd), quoted))

	f.Fuzz(func(t *testing.T, protocol uint16, b []byte) {
		var p packet.Packet
		packet.Parse(packet.EtherType(protocol), b, &p)
		checkHeader(t, &p.Header)
		if p.HasInner {
			checkHeader(t, &p.Inner)
			if !p.HasICMP || !p.Inner.Source.IsValid() {
				t.Errorf("quoted header %+v in %+v", p.Inner, p.Header)
			}
		}
		// A packet may be used again: nothing of the last one shows through.
		used := p
		packet.Parse(packet.EtherIPv4, nil, &used)
		packet.Parse(packet.EtherType(protocol), b, &used)
		if used != p {
			t.Errorf("parsed into a used packet: %+v, into a new one: %+v", used, p)
		}
		dirty := packet.Packet{HasInner: true, Inner: packet.Header{TTL: 1}, Header: packet.Header{TTL: 1}, Tagged: 1}
		packet.Parse(packet.EtherType(protocol), b, &dirty)
		if dirty != p {
			t.Errorf("parsed into a used packet: %+v, into a new one: %+v", dirty, p)
		}
	})
}

// checkHeader holds what is so for every header, whatever the bytes.
func checkHeader(t *testing.T, h *packet.Header) {
	t.Helper()
	if h.Source.IsValid() != h.Destination.IsValid() {
		t.Errorf("one address without the other: %+v", h)
	}
	if h.HasFragment && !h.Fragment.First() && (h.HasPorts || h.HasTCP || h.HasICMP) {
		t.Errorf("transport header in a fragment past the first: %+v", h)
	}
	if (h.HasPorts || h.HasICMP || h.HasKey) && !h.HasProtocol || h.HasTCP && !h.HasPorts {
		t.Errorf("transport header without what comes before it: %+v", h)
	}
	if h.PayloadLength < -1 || h.PayloadLength > 1<<16 || h.IPLength < 0 {
		t.Errorf("impossible length: %+v", h)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct {
		name     string
		protocol packet.EtherType
		bytes    []byte
	}{
		{"tcp4", packet.EtherIPv4, ipv4(6, tcp(40022, 80, 2, ""))},
		{"udp6", packet.EtherIPv6, ipv6(17, udp(53, 4000, "abc"))},
		{"error4", packet.EtherIPv4, ipv4(1, icmp(3, 3, 0, ipv4(17, udp(1, 2, ""))))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			var p packet.Packet
			for b.Loop() {
				packet.Parse(bb.protocol, bb.bytes, &p)
			}
		})
	}
}
