package packet_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/droptrace/droptrace/tracer/packet"
)

// v4 and v6 return the headers that ipv4 and ipv6 build, to be completed.
func v4(protocol packet.Protocol, length int) packet.Header {
	return packet.Header{
		EtherType: packet.EtherIPv4, Protocol: protocol, HasProtocol: true,
		Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddr("198.51.100.2"),
		IPLength: length, PayloadLength: length - 20, TTL: 64, HasID: true, ID: 0x1234,
	}
}

func v6(protocol packet.Protocol, length int) packet.Header {
	return packet.Header{
		EtherType: packet.EtherIPv6, Protocol: protocol, HasProtocol: true,
		Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("2001:db8::2"),
		IPLength: length, PayloadLength: length - 40, TTL: 63,
	}
}

func with(h packet.Header, change func(*packet.Header)) packet.Packet {
	change(&h)
	return packet.Packet{Header: h}
}

func ports(h *packet.Header, source, destination uint16) {
	h.HasPorts, h.SourcePort, h.DestinationPort = true, source, destination
}

// synHeader is what tcp builds.
func synHeader(flags packet.TCPFlags) packet.TCP {
	return packet.TCP{Seq: 1000, Ack: 2000, Window: 64240, Flags: flags, HeaderLength: 20}
}

type parseTest struct {
	name     string
	protocol packet.EtherType
	bytes    []byte
	want     packet.Packet
}

func checkParse(t *testing.T, tests []parseTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got packet.Packet
			packet.Parse(tt.protocol, tt.bytes, &got)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(packet.TCP{}, "Offset")); diff != "" {
				t.Errorf("packet differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTransport(t *testing.T) {
	checkParse(t, []parseTest{
		{"tcp", packet.EtherIPv4, ipv4(6, tcp(40022, 80, 2, "")), with(v4(6, 40), func(h *packet.Header) {
			ports(h, 40022, 80)
			h.HasTCP, h.TCP, h.PayloadLength = true, synHeader(packet.SYN), 0
		})},
		{"tcp over ipv6", packet.EtherIPv6, ipv6(6, tcp(40022, 80, 0x18, "hello")), with(v6(6, 65), func(h *packet.Header) {
			ports(h, 40022, 80)
			h.HasTCP, h.TCP, h.PayloadLength = true, synHeader(packet.PSH|packet.ACK), 5
		})},
		{"tcp header cut", packet.EtherIPv4, ipv4(6, tcp(40022, 80, 2, ""))[:28], with(v4(6, 40), func(h *packet.Header) {
			ports(h, 40022, 80)
			h.PayloadLength = -1
		})},
		{"tcp ports cut", packet.EtherIPv4, ipv4(6, tcp(40022, 80, 2, ""))[:23], with(v4(6, 40), func(h *packet.Header) {
			h.PayloadLength = -1
		})},
		{"udp", packet.EtherIPv4, ipv4(17, udp(53, 4000, "abc")), with(v4(17, 31), func(h *packet.Header) {
			ports(h, 53, 4000)
			h.PayloadLength = 3
		})},
		{"udplite", packet.EtherIPv4, ipv4(136, udp(53, 4000, "abc")), with(v4(136, 31), func(h *packet.Header) {
			ports(h, 53, 4000)
			h.PayloadLength = 3
		})},
		{"sctp", packet.EtherIPv4, ipv4(132, join(be16(5), be16(6), make([]byte, 28))), with(v4(132, 52), func(h *packet.Header) {
			ports(h, 5, 6)
			h.PayloadLength = 20
		})},
		{"dccp", packet.EtherIPv4, ipv4(33, join(be16(5), be16(6), []byte{4}, make([]byte, 15))), with(v4(33, 40), func(h *packet.Header) {
			ports(h, 5, 6)
			h.PayloadLength = 4
		})},
		{"gre with key", packet.EtherIPv4, ipv4(47, join(be16(0x2000), be16(0x0800), be32(77), []byte("ab"))), with(v4(47, 30), func(h *packet.Header) {
			h.HasKey, h.Key, h.PayloadLength = true, 77, 2
		})},
		{"gre with checksum and key", packet.EtherIPv4, ipv4(47, join(be16(0xa000), be16(0x0800), be32(1), be32(77))), with(v4(47, 32), func(h *packet.Header) {
			h.HasKey, h.Key, h.PayloadLength = true, 77, 0
		})},
		{"pptp", packet.EtherIPv4, ipv4(47, join(be16(0x3081), be16(0x880b), be32(9), be32(1), be32(2))), with(v4(47, 36), func(h *packet.Header) {
			h.HasKey, h.Key, h.PayloadLength = true, 9, 0
		})},
		{"esp has no ports", packet.EtherIPv4, ipv4(50, make([]byte, 16)), with(v4(50, 36), func(*packet.Header) {})},
		{"ah has no ports", packet.EtherIPv6, ipv6(51, extension(6, 3, tcp(1, 2, 2, ""))), with(v6(51, 84), func(*packet.Header) {})},
		{"unknown protocol", packet.EtherIPv6, ipv6(253, []byte("abcd")), with(v6(253, 44), func(*packet.Header) {})},
	})
}

func TestParseICMP(t *testing.T) {
	echo := func(kind uint8) func(*packet.Header) {
		return func(h *packet.Header) {
			h.HasICMP, h.ICMP = true, packet.ICMP{Type: kind, HasEcho: true, ID: 7, Seq: 9}
			h.PayloadLength -= 8
		}
	}
	failure := func(kind, code uint8) func(*packet.Header) {
		return func(h *packet.Header) {
			h.HasICMP, h.ICMP = true, packet.ICMP{Type: kind, Code: code}
			h.PayloadLength -= 8
		}
	}
	quote4 := with(v4(6, 40), func(h *packet.Header) {
		ports(h, 40022, 80)
		h.PayloadLength = -1
	}).Header
	quote6 := with(v6(17, 51), func(h *packet.Header) {
		ports(h, 53, 4000)
		h.PayloadLength = 3
	}).Header
	unreachable := with(v4(1, 56), failure(3, 13))
	unreachable.HasInner, unreachable.Inner = true, quote4
	tooBig := with(v6(58, 99), failure(2, 0))
	tooBig.ICMP.Rest = [4]byte{0, 0, 5, 0} // 1280
	tooBig.HasInner, tooBig.Inner = true, quote6

	checkParse(t, []parseTest{
		{"echo request", packet.EtherIPv4, ipv4(1, icmp(8, 0, 7<<16|9, []byte("x"))), with(v4(1, 29), echo(8))},
		{"echo reply over ipv6", packet.EtherIPv6, ipv6(58, icmp(129, 0, 7<<16|9, nil)), with(v6(58, 48), echo(129))},
		{"neighbour solicitation", packet.EtherIPv6, ipv6(58, icmp(135, 0, 0, make([]byte, 16))), with(v6(58, 64), func(h *packet.Header) {
			failure(135, 0)(h)
			h.ICMP.Target = netip.IPv6Unspecified()
		})},
		{"error quotes eight bytes of tcp", packet.EtherIPv4,
			ipv4(1, icmp(3, 13, 0, ipv4(6, tcp(40022, 80, 2, ""))[:28])), unreachable},
		{"error quotes udp over ipv6", packet.EtherIPv6,
			ipv6(58, icmp(2, 0, 1280, ipv6(17, udp(53, 4000, "abc")))), tooBig},
		{"quoted header cut", packet.EtherIPv4,
			ipv4(1, icmp(3, 13, 0, ipv4(6, nil)[:19])), with(v4(1, 47), failure(3, 13))},
		{"icmpv6 over ipv4 is not read", packet.EtherIPv4,
			ipv4(58, icmp(1, 0, 0, ipv4(6, tcp(1, 2, 2, "")))), with(v4(58, 68), func(h *packet.Header) { h.PayloadLength = 40 })},
	})
}

func TestParseFragments(t *testing.T) {
	fragment := func(id uint32, offset int, more bool) func(*packet.Header) {
		return func(h *packet.Header) {
			h.HasFragment, h.Fragment = true, packet.Fragment{ID: id, Offset: offset, More: more}
		}
	}
	first := with(v4(17, 31), fragment(0x1234, 0, true))
	ports(&first.Header, 53, 4000)
	first.PayloadLength = 3
	first6 := with(v6(17, 59), fragment(0xcafe, 0, true))
	ports(&first6.Header, 53, 4000)
	first6.PayloadLength = 3
	later6 := with(v6(17, 64), fragment(0xcafe, 1448, false))
	later6.PayloadLength = 16
	hidden := with(v6(0, 64), fragment(0xcafe, 1448, false))
	hidden.HasProtocol, hidden.PayloadLength = false, -1

	checkParse(t, []parseTest{
		{"first", packet.EtherIPv4, fragment4(ipv4(17, udp(53, 4000, "abc")), 0, true), first},
		{"later has no ports", packet.EtherIPv4, fragment4(ipv4(6, tcp(1, 2, 2, "")), 1480, false),
			with(v4(6, 40), fragment(0x1234, 1480, false))},
		{"first of ipv6", packet.EtherIPv6, ipv6(44, fragment6(17, 0, true, udp(53, 4000, "abc"))), first6},
		{"later of ipv6", packet.EtherIPv6, ipv6(44, fragment6(17, 1448, false, make([]byte, 16))), later6},
		{"later of ipv6 behind options", packet.EtherIPv6,
			ipv6(44, fragment6(60, 1448, false, make([]byte, 16))), hidden},
	})
}

func TestParseExtensions(t *testing.T) {
	chain := func(n int) []byte {
		b := tcp(40022, 80, 2, "")
		next := byte(6)
		for range n {
			b, next = extension(next, 1, b), 60
		}
		return ipv6(60, b)
	}
	found := func(length int) packet.Packet {
		return with(v6(6, length), func(h *packet.Header) {
			ports(h, 40022, 80)
			h.HasTCP, h.TCP, h.PayloadLength = true, synHeader(packet.SYN), 0
		})
	}
	lost := func(length int) packet.Packet {
		return with(v6(0, length), func(h *packet.Header) { h.HasProtocol, h.PayloadLength = false, -1 })
	}
	checkParse(t, []parseTest{
		{"hop by hop and routing", packet.EtherIPv6,
			ipv6(0, extension(43, 1, extension(6, 3, tcp(40022, 80, 2, "")))), found(92)},
		{"as many as are followed", packet.EtherIPv6, chain(packet.MaxExtensions), found(60 + 8*packet.MaxExtensions)},
		{"one more", packet.EtherIPv6, chain(packet.MaxExtensions + 1), lost(68 + 8*packet.MaxExtensions)},
		{"cut", packet.EtherIPv6, chain(2)[:50], lost(76)},
	})
}

func TestParseOdd(t *testing.T) {
	padded := append(ipv4(6, nil), tcp(40022, 80, 2, "")...) // padding of a short frame
	giant := ipv4(6, tcp(40022, 80, 2, "x"))
	giant[2], giant[3] = 0, 0
	short := ipv4(6, tcp(1, 2, 2, ""))
	short[0] = 0x44
	tagged := with(v4(17, 31), func(h *packet.Header) {
		ports(h, 53, 4000)
		h.PayloadLength = 3
	})
	tagged.Tags, tagged.Tagged = [2]uint16{0x2064, 0x0065}, 2
	stacked := packet.Packet{Header: packet.Header{EtherType: packet.EtherVLAN, PayloadLength: -1}, Tagged: 2}

	checkParse(t, []parseTest{
		{"nothing", packet.EtherIPv4, nil, packet.Packet{Header: packet.Header{EtherType: packet.EtherIPv4, PayloadLength: -1}}},
		{"ipv6 said to be ipv4", packet.EtherIPv4, ipv6(6, tcp(1, 2, 2, "")),
			packet.Packet{Header: packet.Header{EtherType: packet.EtherIPv4, PayloadLength: -1}}},
		{"no ports out of padding", packet.EtherIPv4, padded, with(v4(6, 20), func(h *packet.Header) { h.PayloadLength = -1 })},
		{"over 64 KiB", packet.EtherIPv4, giant, with(v4(6, 0), func(h *packet.Header) {
			ports(h, 40022, 80)
			h.HasTCP, h.TCP, h.PayloadLength = true, synHeader(packet.SYN), -1
		})},
		{"header length too small", packet.EtherIPv4, short, with(v4(6, 40), func(h *packet.Header) { h.PayloadLength = -1 })},
		{"two vlan tags", packet.EtherService, join(be16(0x2064), be16(0x8100), be16(0x65), be16(0x0800), ipv4(17, udp(53, 4000, "abc"))), tagged},
		{"three vlan tags", packet.EtherVLAN, join(be16(0), be16(0x8100), be16(0), be16(0x8100), be16(0), be16(0x0800)), stacked},
		{"lldp", 0x88cc, []byte{2, 7, 4}, packet.Packet{Header: packet.Header{EtherType: 0x88cc, PayloadLength: -1}}},
	})
}

func TestParseARP(t *testing.T) {
	want := packet.Header{
		EtherType: packet.EtherARP, PayloadLength: -1,
		Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddr("192.0.2.9"),
		HasARP: true,
		ARP: packet.ARP{
			Operation:      packet.ARPRequest,
			SenderHardware: [6]byte{2, 0, 0, 0, 0, 1}, TargetHardware: [6]byte{2, 0, 0, 0, 0, 2},
		},
	}
	cut := packet.Header{EtherType: packet.EtherARP, PayloadLength: -1}
	checkParse(t, []parseTest{
		{"request", packet.EtherARP, arp(packet.ARPRequest), packet.Packet{Header: want}},
		{"cut", packet.EtherARP, arp(packet.ARPRequest)[:27], packet.Packet{Header: cut}},
	})
}

func TestTheOffsetOfTCPIsWhereItsHeaderBegins(t *testing.T) {
	segment := tcp(40022, 80, 2, "")
	hop := append([]byte{6, 0, 0, 0, 0, 0, 0, 0}, segment...)
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"ip", ipv4(6, segment)}, {"ip6", ipv6(6, segment)}, {"ip6 with an extension", ipv6(0, hop)},
	} {
		protocol := packet.EtherIPv4
		if tt.b[0]>>4 == 6 {
			protocol = packet.EtherIPv6
		}
		var p packet.Packet
		packet.Parse(protocol, tt.b, &p)
		if want := len(tt.b) - len(segment); !p.HasTCP || p.TCP.Offset != want {
			t.Errorf("%s: offset %d, want %d", tt.name, p.TCP.Offset, want)
		}
	}
}
