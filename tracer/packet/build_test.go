package packet_test

import "encoding/binary"

// Builders of packets for tests. Each returns a header with what follows it;
// lengths are filled in, checksums are not: nobody here looks at them.

func be16(n int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// ipv4 builds a header from 192.0.2.1 to 198.51.100.2.
func ipv4(protocol byte, payload []byte) []byte {
	b := join([]byte{0x45, 0}, be16(20+len(payload)), be16(0x1234), be16(0x4000), []byte{64, protocol, 0, 0},
		[]byte{192, 0, 2, 1}, []byte{198, 51, 100, 2})
	return append(b, payload...)
}

// fragment4 makes a piece of an IPv4 packet; offset is in bytes.
func fragment4(b []byte, offset int, more bool) []byte {
	f := offset / 8
	if more {
		f |= 0x2000
	}
	binary.BigEndian.PutUint16(b[6:], uint16(f))
	return b
}

// ipv6 builds a header from 2001:db8::1 to 2001:db8::2.
func ipv6(next byte, payload []byte) []byte {
	b := join([]byte{0x60, 0, 0, 0}, be16(len(payload)), []byte{next, 63},
		[]byte{0x20, 1, 0xd, 0xb8, 14: 0, 15: 1}, []byte{0x20, 1, 0xd, 0xb8, 14: 0, 15: 2})
	return append(b, payload...)
}

// extension builds an IPv6 extension header of n units of eight bytes.
func extension(next byte, n int, payload []byte) []byte {
	b := make([]byte, 8*n)
	b[0], b[1] = next, byte(n-1)
	return append(b, payload...)
}

func fragment6(next byte, offset int, more bool, payload []byte) []byte {
	f := offset
	if more {
		f |= 1
	}
	return join([]byte{next, 0}, be16(f), be32(0xcafe), payload)
}

func tcp(sport, dport int, flags byte, payload string) []byte {
	return join(be16(sport), be16(dport), be32(1000), be32(2000), []byte{5 << 4, flags}, be16(64240), be32(0),
		[]byte(payload))
}

func udp(sport, dport int, payload string) []byte {
	return join(be16(sport), be16(dport), be16(8+len(payload)), be16(0), []byte(payload))
}

func icmp(kind, code byte, rest uint32, payload []byte) []byte {
	return join([]byte{kind, code, 0, 0}, be32(rest), payload)
}

func arp(operation int) []byte {
	return join(be16(1), be16(0x0800), []byte{6, 4}, be16(operation),
		[]byte{2, 0, 0, 0, 0, 1}, []byte{192, 0, 2, 1}, []byte{2, 0, 0, 0, 0, 2}, []byte{192, 0, 2, 9})
}
