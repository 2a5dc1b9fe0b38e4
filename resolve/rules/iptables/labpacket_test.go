package iptables

import (
	"encoding/binary"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// labPacket is one that tests send.
type labPacket struct {
	name      string
	bytes     []byte // from the network header on
	broadcast bool
	state     uint32 // conntrack's
}

func (p labPacket) etherType() uint16 {
	if p.bytes[0]>>4 == 6 {
		return 0x86dd
	}
	return 0x0800
}

// header4 puts an IPv4 header before the payload; fragment is flags and offset.
func header4(protocol, tos, ttl byte, fragment uint16, src, dst string, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[1], b[8], b[9] = 0x45, tos, ttl, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(b[6:], fragment)
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return append(b, payload...)
}

func header6(next, class, hops byte, src, dst string, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[1], b[6], b[7] = 0x60|class>>4, class<<4, next, hops
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
	return append(b, payload...)
}

// ports begins a transport header; size is its whole length.
func ports(sport, dport uint16, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	return b
}

func tcp(sport, dport uint16, flags byte, options ...byte) []byte {
	b := append(ports(sport, dport, 20), options...)
	b[12], b[13] = byte(len(b)/4)<<4, flags
	return b
}

func udp(sport, dport uint16, payload int) []byte {
	b := ports(sport, dport, 8+payload)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}

const (
	client, router = "10.9.0.9", "10.9.0.1"
	client6        = "2001:db8::9"
	router6        = "2001:db8::1"
)

func packets4() []labPacket {
	ip := func(name string, protocol byte, payload []byte) labPacket {
		return labPacket{name: name, bytes: header4(protocol, 0, 64, 0, client, router, payload)}
	}
	from := func(name, src, dst string, tos, ttl byte, fragment uint16, protocol byte, payload []byte) labPacket {
		return labPacket{name: name, bytes: header4(protocol, tos, ttl, fragment, src, dst, payload)}
	}
	all := []labPacket{
		ip("SYN to 80", 6, tcp(1000, 80, 0x02)),
		ip("ACK to 81", 6, tcp(80, 81, 0x10)),
		ip("FIN to 22", 6, tcp(5000, 22, 0x01)),
		ip("SYN with options", 6, tcp(1000, 443, 0x02, 2, 4, 5, 0xb4, 4, 2, 1, 1)),
		ip("SYN with ECN", 6, tcp(1000, 80, 0xc2)),
		ip("no flags", 6, tcp(1000, 80, 0)),
		ip("a short TCP header", 6, tcp(1000, 80, 2)[:12]),
		ip("four bytes of TCP", 6, tcp(1000, 80, 2)[:4]),
		ip("options that are cut", 6, tcp(1000, 80, 2, 2, 4, 5, 0xb4)[:22]),
		ip("UDP to 53", 17, udp(1000, 53, 4)),
		ip("UDP to 80", 17, udp(53, 80, 100)),
		ip("UDP from 53 to 53", 17, udp(53, 53, 0)),
		ip("a short UDP header", 17, udp(53, 53, 0)[:6]),
		ip("UDP-Lite to 53", 136, udp(1000, 53, 0)),
		ip("SCTP to 80", 132, ports(1000, 80, 16)),
		ip("a short SCTP header", 132, ports(1000, 80, 8)),
		ip("DCCP request", 33, append(ports(1000, 80, 8), 0, 0, 0, 0, 0, 0, 0, 0)),
		ip("DCCP reset", 33, append(ports(1000, 80, 8), 0x0e, 0, 0, 0, 0, 0, 0, 0)),
		ip("ESP", 50, []byte{0, 0, 0, 3, 0, 0, 0, 1, 0, 0}),
		ip("a short ESP header", 50, []byte{0, 0, 0, 3}),
		ip("AH", 51, []byte{6, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0}),
		ip("IPComp", 108, []byte{6, 0, 0, 2}),
		ip("ping", 1, []byte{8, 0, 0, 0, 0, 1, 0, 1}),
		ip("pong", 1, []byte{0, 0, 0, 0, 0, 1, 0, 1}),
		ip("host unreachable", 1, make([]byte, 36)),
		ip("a short ICMP header", 1, []byte{8, 0, 0, 0}),
		ip("GRE", 47, make([]byte, 8)),
		ip("nothing behind the header", 99, nil),
		from("EF", client, router, 0xb8, 64, 0, 17, udp(1, 2, 0)),
		from("ECT", client, router, 0x02, 64, 0, 17, udp(1, 2, 0)),
		from("low TTL", client, router, 0x10, 3, 0, 17, udp(1, 2, 0)),
		from("high TTL", client, router, 0, 255, 0, 17, udp(1, 2, 0)),
		from("another source", "10.9.0.77", router, 0, 64, 0, 17, udp(1, 2, 0)),
		from("far away", "198.51.100.7", "203.0.113.4", 0, 64, 0, 6, tcp(1, 80, 2)),
		from("multicast", client, "224.0.0.5", 0, 64, 0, 89, make([]byte, 24)),
		from("to the network's broadcast", client, "10.9.0.255", 0, 64, 0, 17, udp(1, 137, 0)),
		from("first fragment of UDP", client, router, 0, 64, 0x2000, 17, udp(1000, 53, 8)),
		from("later fragment of UDP", client, router, 0, 64, 0x0003, 17, ports(1000, 53, 16)),
		from("later fragment of TCP", client, router, 0, 64, 0x2003, 6, tcp(1000, 80, 2)),
		from("TCP eight bytes in", client, router, 0, 64, 0x0001, 6, tcp(1000, 80, 2)),
		from("later fragment of ICMP", client, router, 0, 64, 0x0005, 1, make([]byte, 8)),
		from("later fragment of GRE", client, router, 0, 64, 0x0005, 47, make([]byte, 8)),
		{name: "broadcast", bytes: header4(17, 0, 64, 0, client, "255.255.255.255", udp(68, 67, 0)), broadcast: true},
	}
	all[24].bytes[20], all[24].bytes[21] = 3, 1
	return all
}

func packets6() []labPacket {
	ip := func(name string, next byte, payload []byte) labPacket {
		return labPacket{name: name, bytes: header6(next, 0, 64, client6, router6, payload)}
	}
	// behind puts an extension header of eight bytes before the payload.
	behind := func(next byte, rest []byte, payload []byte) []byte {
		return append(append([]byte{next, 0}, rest...), payload...)
	}
	zeroes := make([]byte, 6)
	return []labPacket{
		ip("SYN to 80", 6, tcp(1000, 80, 0x02)),
		ip("a short TCP header", 6, tcp(1000, 80, 2)[:12]),
		ip("UDP to 53", 17, udp(1000, 53, 4)),
		ip("UDP to 80", 17, udp(53, 80, 60)),
		ip("echo request", 58, []byte{128, 0, 0, 0, 0, 1, 0, 1}),
		ip("no route", 58, []byte{1, 0, 0, 0, 0, 0, 0, 0}),
		ip("a short ICMPv6 header", 58, []byte{128, 0}),
		ip("UDP behind hop-by-hop options", 0, behind(17, []byte{1, 4, 0, 0, 0, 0}, udp(1000, 53, 0))),
		ip("UDP behind destination options", 60, behind(17, []byte{1, 4, 0, 0, 0, 0}, udp(1000, 53, 0))),
		ip("first fragment of UDP", 44, behind(17, []byte{0, 1, 0, 0, 0, 9}, udp(1000, 53, 8))),
		ip("later fragment of UDP", 44, behind(17, []byte{0, 0x18, 0, 0, 0, 9}, udp(1000, 53, 8))),
		ip("later fragment of TCP", 44, behind(6, []byte{0, 0x18, 0, 0, 0, 9}, tcp(1000, 80, 2))),
		ip("no next header", 59, nil),
		ip("options that are cut", 60, []byte{17, 4, 0, 0}),
		ip("a routing header", 43, behind(17, append([]byte{0, 0}, zeroes[:4]...), udp(1000, 53, 0))),
		ip("SCTP", 132, ports(1000, 80, 16)),
		{name: "EF", bytes: header6(17, 0xb8, 64, client6, router6, udp(1, 2, 0))},
		{name: "hop limit 255", bytes: header6(58, 0, 255, client6, router6, []byte{135, 0, 0, 0, 0, 0, 0, 0})},
		{name: "multicast", bytes: header6(17, 0, 64, client6, "ff02::5", udp(1, 2, 0))},
		{name: "far away", bytes: header6(6, 0, 64, "2001:db8:5::1", "2001:db8:6::1", tcp(1, 80, 2))},
	}
}

// conntracked are packets of which conntrack's state is known, each of a
// connection of its own.
func conntracked() []labPacket {
	return []labPacket{
		{name: "a new UDP flow", bytes: header4(17, 0, 64, 0, client, router, udp(2001, 53, 0)), state: ruleset.CTNew},
		{name: "a new TCP connection", bytes: header4(6, 0, 64, 0, client, router, tcp(2002, 80, 2)), state: ruleset.CTNew},
		{name: "ping", bytes: header4(1, 0, 64, 0, client, router, []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}), state: ruleset.CTNew},
		{name: "an answer to nothing", bytes: header4(1, 0, 64, 0, client, router, []byte{0, 0, 0xff, 0xfc, 0, 2, 0, 1}),
			state: ruleset.CTInvalid},
		{name: "flags that no one sends", bytes: header4(6, 0, 64, 0, client, router, tcp(2003, 80, 0x3f)),
			state: ruleset.CTInvalid},
		{name: "not tracked", bytes: header4(17, 0, 64, 0, client, router, udp(2004, 9999, 0)), state: ruleset.CTUntracked},
	}
}
