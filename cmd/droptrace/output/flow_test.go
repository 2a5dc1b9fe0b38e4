package output

import (
	"net/netip"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

// packet4 and packet6 go from 203.0.113.9 to 10.0.0.2, and from 2001:db8::1 to
// 2001:db8::2, as the packets did that tcpdump was asked about.
func packet4(protocol string, change func(*drop.Packet)) drop.Packet {
	p := drop.Packet{
		Family: "ip", Protocol: protocol,
		Source: netip.MustParseAddr("203.0.113.9"), Destination: netip.MustParseAddr("10.0.0.2"),
	}
	change(&p)
	return p
}

func packet6(protocol string, change func(*drop.Packet)) drop.Packet {
	p := packet4(protocol, change)
	p.Family = "ip6"
	p.Source, p.Destination = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	return p
}

func ports(s, d uint16) func(*drop.Packet) {
	return func(p *drop.Packet) { p.SourcePort, p.DestinationPort = &s, &d }
}

func tcpWith(payload int, flags ...string) drop.Packet {
	return packet4("tcp", func(p *drop.Packet) {
		ports(51234, 80)(p)
		p.TCPFlags, p.PayloadLength = flags, &payload
		p.TCP = &drop.TCP{Seq: 123, Ack: 77, Window: 64240}
	})
}

func icmpWith(t, code uint8, payload int, inner *drop.Packet) func(*drop.Packet) {
	return func(p *drop.Packet) {
		p.ICMPType, p.ICMPCode, p.PayloadLength, p.Inner = &t, &code, &payload, inner
	}
}

// The texts are those of tcpdump 4.99.3 with -n -S -t for the same packets,
// except where a comment says what is ours.
func TestFlowIsAsTcpdumpPrintsIt(t *testing.T) {
	udp := func(p *drop.Packet) { ports(4000, 5001)(p); p.PayloadLength = ptr(12) }
	quoted := packet4("udp", func(p *drop.Packet) {
		udp(p)
		p.Source, p.Destination = p.Destination, p.Source
	})
	quoted6 := packet6("udp", udp)
	echo := func(typ uint8) func(*drop.Packet) {
		return func(p *drop.Packet) {
			icmpWith(typ, 0, 56, nil)(p)
			p.ICMPID, p.ICMPSeq = ptr[uint16](1), ptr[uint16](2)
		}
	}
	for _, tt := range []struct {
		p    drop.Packet
		want string
	}{
		{tcpWith(0, "syn"), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [S], seq 123, win 64240, length 0"},
		{tcpWith(0, "syn", "ack"), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [S.], seq 123, ack 77, win 64240, length 0"},
		{tcpWith(0, "ack"), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [.], ack 77, win 64240, length 0"},
		{tcpWith(10, "psh", "ack"), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [P.], seq 123:133, ack 77, win 64240, length 10"},
		{tcpWith(0, "ack", "fin"), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [F.], seq 123, ack 77, win 64240, length 0"},
		{tcpWith(10, "rst"), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [R], seq 123:133, win 64240, length 10"},
		{tcpWith(10), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [none], seq 123:133, win 64240, length 10"},
		{tcpWith(0, "syn", "ece", "cwr"), "IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [SEW], seq 123, win 64240, length 0"},
		{packet6("tcp", func(p *drop.Packet) {
			q := tcpWith(0, "syn")
			q.Source, q.Destination = p.Source, p.Destination
			*p = q
		}),
			"IP6 2001:db8::1.51234 > 2001:db8::2.80: Flags [S], seq 123, win 64240, length 0"},
		{packet4("tcp", func(p *drop.Packet) { ports(51234, 80)(p); p.TCPFlags = []string{"syn"} }), // header cut
			"IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [S]"},
		{packet4("tcp", ports(51234, 80)), "IP 203.0.113.9.51234 > 10.0.0.2.80: [|tcp]"},
		{packet4("udp", udp), "IP 203.0.113.9.4000 > 10.0.0.2.5001: UDP, length 12"},
		{packet6("udp", udp), "IP6 2001:db8::1.4000 > 2001:db8::2.5001: UDP, length 12"},
		{packet4("icmp", echo(8)), "IP 203.0.113.9 > 10.0.0.2: ICMP echo request, id 1, seq 2, length 64"},
		{packet4("icmp", echo(0)), "IP 203.0.113.9 > 10.0.0.2: ICMP echo reply, id 1, seq 2, length 64"},
		{packet6("icmpv6", echo(128)), "IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 1, seq 2, length 64"},
		{packet4("icmp", icmpWith(3, 0, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP net 203.0.113.9 unreachable, length 48"},
		{packet4("icmp", icmpWith(3, 1, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP host 203.0.113.9 unreachable, length 48"},
		{packet4("icmp", icmpWith(3, 2, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP 203.0.113.9 protocol 17 unreachable, length 48"},
		{packet4("icmp", icmpWith(3, 3, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP 203.0.113.9 udp port 5001 unreachable, length 48"},
		{packet4("icmp", icmpWith(3, 4, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP 203.0.113.9 unreachable - need to frag, length 48"},
		{packet4("icmp", icmpWith(3, 9, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP net 203.0.113.9 unreachable - admin prohibited, length 48"},
		{packet4("icmp", icmpWith(3, 13, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP host 203.0.113.9 unreachable - admin prohibited filter, length 48"},
		{packet4("icmp", icmpWith(3, 16, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP 203.0.113.9 unreachable - #16, length 48"},
		{packet4("icmp", icmpWith(3, 3, 40, nil)), "IP 203.0.113.9 > 10.0.0.2: ICMP ? protocol ? port unreachable, length 48"}, // ours
		{packet4("icmp", icmpWith(11, 0, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP time exceeded in-transit, length 48"},
		{packet4("icmp", icmpWith(11, 1, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP ip reassembly time exceeded, length 48"},
		{packet4("icmp", icmpWith(11, 2, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP time exceeded-#2, length 48"},
		{packet4("icmp", icmpWith(5, 1, 40, &quoted)), "IP 203.0.113.9 > 10.0.0.2: ICMP redirect 203.0.113.9, length 48"}, // the gateway is not known
		{packet4("icmp", icmpWith(42, 0, 20, nil)), "IP 203.0.113.9 > 10.0.0.2: ICMP type-#42, length 28"},
		{packet4("icmp", func(*drop.Packet) {}), "IP 203.0.113.9 > 10.0.0.2: ICMP [|icmp]"},
		{packet6("icmpv6", icmpWith(1, 0, 60, &quoted6)), "IP6 2001:db8::1 > 2001:db8::2: ICMP6, destination unreachable, unreachable route 2001:db8::2, length 68"},
		{packet6("icmpv6", icmpWith(1, 4, 60, &quoted6)), "IP6 2001:db8::1 > 2001:db8::2: ICMP6, destination unreachable, unreachable port, 2001:db8::2 udp port 5001, length 68"},
		{packet6("icmpv6", icmpWith(2, 0, 60, &quoted6)), "IP6 2001:db8::1 > 2001:db8::2: ICMP6, packet too big, length 68"}, // the MTU is not known
		{packet6("icmpv6", icmpWith(3, 0, 60, &quoted6)), "IP6 2001:db8::1 > 2001:db8::2: ICMP6, time exceeded in-transit for 2001:db8::2, length 68"},
		{packet6("icmpv6", icmpWith(133, 0, 32, nil)), "IP6 2001:db8::1 > 2001:db8::2: ICMP6, router solicitation, length 40"},
		{packet6("icmpv6", icmpWith(143, 0, 32, nil)), "IP6 2001:db8::1 > 2001:db8::2: ICMP6, multicast listener report v2, length 40"},
		{packet4("sctp", ports(1000, 2000)), "IP 203.0.113.9.1000 > 10.0.0.2.2000: sctp"},
		{packet4("gre", func(p *drop.Packet) { p.Inner = &quoted }), "IP 203.0.113.9 > 10.0.0.2: GRE: IP 10.0.0.2.4000 > 203.0.113.9.5001: UDP, length 12"}, // no version
		{packet4("ipip", func(p *drop.Packet) { p.Inner = &quoted }), "IP 203.0.113.9 > 10.0.0.2: IP 10.0.0.2.4000 > 203.0.113.9.5001: UDP, length 12"},
		{packet4("41", func(p *drop.Packet) { p.Inner = &quoted6 }), "IP 203.0.113.9 > 10.0.0.2: IP6 2001:db8::1.4000 > 2001:db8::2.5001: UDP, length 12"},
		{packet4("253", func(p *drop.Packet) { p.IPLength = 60 }), "IP 203.0.113.9 > 10.0.0.2: ip-proto-253 40"},
		{packet6("253", func(p *drop.Packet) { p.IPLength = 60 }), "IP6 2001:db8::1 > 2001:db8::2: ip-proto-253 20"},
		{packet4("igmp", func(p *drop.Packet) { p.PayloadLength = ptr(8) }), "IP 203.0.113.9 > 10.0.0.2: IGMP, length 8"}, // ours
		{packet4("", func(*drop.Packet) {}), "IP 203.0.113.9 > 10.0.0.2: [|ip]"},
		// Fragments: for IPv4 tcpdump tells them only with -v.
		{packet4("udp", func(p *drop.Packet) {
			ports(4000, 5001)(p)
			p.PayloadLength, p.Fragment = ptr(3000), &drop.Fragment{ID: 77, More: true}
		}), "IP 203.0.113.9.4000 > 10.0.0.2.5001: UDP, length 3000, frag id 77 offset 0+"},
		{packet4("udp", func(p *drop.Packet) { p.Fragment = &drop.Fragment{ID: 77, Offset: 2960} }),
			"IP 203.0.113.9 > 10.0.0.2: ip-proto-17, frag id 77 offset 2960 (ports are only in the first)"},
		{packet6("udp", func(p *drop.Packet) {
			ports(4000, 5001)(p)
			p.IPLength, p.PayloadLength, p.Fragment = 1288, ptr(2992), &drop.Fragment{ID: 99, More: true}
		}), "IP6 2001:db8::1 > 2001:db8::2: frag (0|1240) 4000 > 5001: UDP, length 2992"},
		{packet6("udp", func(p *drop.Packet) {
			p.IPLength, p.Fragment = 1288, &drop.Fragment{ID: 99, Offset: 1240, More: true}
		}),
			"IP6 2001:db8::1 > 2001:db8::2: frag (1240|1240) (ports are only in the first)"},
		{drop.Packet{Family: "arp", ARPOperation: "request", PayloadLength: ptr(28),
			Source: netip.MustParseAddr("10.0.0.2"), Destination: netip.MustParseAddr("10.0.0.1")},
			"ARP, Request who-has 10.0.0.1 tell 10.0.0.2, length 28"},
		{drop.Packet{Family: "arp", ARPOperation: "reply", // the MAC address is not known
			Source: netip.MustParseAddr("10.0.0.2"), Destination: netip.MustParseAddr("10.0.0.1")},
			"ARP, Reply 10.0.0.2 to 10.0.0.1"},
		{drop.Packet{Family: "arp", ARPOperation: "9"}, "ARP, op 9"},
		{drop.Packet{Family: "0x88cc", PayloadLength: ptr(42)}, "ethertype LLDP (0x88cc), length 42"},
		{drop.Packet{Family: "0x1234"}, "ethertype Unknown (0x1234)"},
		{drop.Packet{}, "ethertype not known"},
		{drop.Packet{Family: "ip"}, "IP ? > ?: [|ip]"},
		{packet4("tcp", func(p *drop.Packet) { *p = tcpWith(0, "syn"); p.Segments = 12 }),
			"IP 203.0.113.9.51234 > 10.0.0.2.80: Flags [S], seq 123, win 64240, length 0 (GSO, 12 packets)"},
	} {
		if got := string(appendFlow(nil, &tt.p)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
