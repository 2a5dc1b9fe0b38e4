package correlate

import (
	"encoding/binary"
	"hash/maphash"
)

// identity is what of a packet no router, firewall or NAT changes: headers
// without addresses, ports, TTL, DSCP, checksums and TCP's MSS, and the content
// behind them.
type identity struct {
	fixed    fixed
	flow     flow   // as it was on the wire
	content  []byte // first bytes behind what fixed and flow hold
	whole    bool   // content is all there was, or maxContent of it
	ttl      uint8
	fragment fragment
}

// fixed are header fields that must be equal.
type fixed struct {
	etherType  uint16
	protocol   uint8
	kind, code uint8  // of ICMP
	flags      uint16 // of TCP, with the header's length
	window     uint16
	urgent     uint16
	length     uint32 // of the IP packet
	id         uint32 // of IPv4, or of an IPv6 fragment
	fragment   uint16 // flags and offset as IPv4 has them
	seq, ack   uint32 // of TCP; of ICMP, an echo's number or what stands there
}

// flow is what NAT changes.
type flow struct {
	source, destination         [16]byte
	sourcePort, destinationPort uint16 // an echo's id stands in the first
}

// fragment says which part of a datagram a packet is, if it is one.
type fragment struct {
	is        bool
	offset    int
	datagram  uint32 // its id
	transport uint8
}

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd

	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136

	// maxContent is how far contents are compared.
	maxContent = 512
)

// read fills p from bytes that begin at the network header. It reports whether they
// held enough to be compared. p.content is appended to buf.
func (p *identity) read(etherType uint16, b, buf []byte) bool {
	*p = identity{fixed: fixed{etherType: etherType}}
	switch etherType {
	case etherIPv4:
		return p.readIPv4(b, buf)
	case etherIPv6:
		return p.readIPv6(b, buf)
	}
	p.fixed.length = 0 // frames are padded: only the content tells
	p.take(b, len(b), buf)
	return len(b) > 0
}

func (p *identity) readIPv4(b, buf []byte) bool {
	const fixedLength = 20
	if len(b) < fixedLength || b[0]>>4 != 4 {
		return false
	}
	header := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if header < fixedLength || total != 0 && total < header {
		return false
	}
	p.fixed.length = uint32(total)
	p.fixed.id = uint32(binary.BigEndian.Uint16(b[4:]))
	p.fixed.fragment = binary.BigEndian.Uint16(b[6:])
	p.fixed.protocol = b[9]
	p.ttl = b[8]
	copy(p.flow.source[:], b[12:16])
	copy(p.flow.destination[:], b[16:20])
	const more, offset = 0x2000, 0x1fff
	if f := p.fixed.fragment; f&(more|offset) != 0 {
		p.fragment = fragment{is: true, offset: int(f&offset) * 8, datagram: p.fixed.id, transport: b[9]}
	}
	if total == 0 { // more than 64 KiB in one piece
		total = len(b)
	}
	if len(b) < header {
		return false
	}
	return p.readTransport(b[header:min(len(b), total)], total-header, buf)
}

func (p *identity) readIPv6(b, buf []byte) bool {
	const fixedLength = 40
	if len(b) < fixedLength || b[0]>>4 != 6 {
		return false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	p.fixed.length = uint32(length)
	p.ttl = b[7]
	copy(p.flow.source[:], b[8:24])
	copy(p.flow.destination[:], b[24:40])
	rest, next := b[fixedLength:], b[6]
	if length > 0 {
		rest = rest[:min(len(rest), length)]
	} else {
		length = len(rest)
	}
	for range 8 {
		if !extension(next) {
			break
		}
		if len(rest) < 8 {
			return false
		}
		n := (int(rest[1]) + 1) * 8
		if next == 44 {
			n = 8
			f := binary.BigEndian.Uint16(rest[2:])
			p.fixed.fragment, p.fixed.id = f, binary.BigEndian.Uint32(rest[4:])
			p.fragment = fragment{is: true, offset: int(f &^ 7), datagram: p.fixed.id, transport: rest[0]}
		}
		if len(rest) < n {
			return false
		}
		next, rest, length = rest[0], rest[n:], length-n
		if p.fragment.offset > 0 {
			break
		}
	}
	p.fixed.protocol = next
	return p.readTransport(rest, length, buf)
}

// extension headers that stand between IPv6 and what it carries: hop-by-hop,
// routing, fragment, destination options.
func extension(next uint8) bool { return next == 0 || next == 43 || next == 44 || next == 60 }

// readTransport reads what follows the network header, of which full bytes were
// sent.
func (p *identity) readTransport(b []byte, full int, buf []byte) bool {
	if p.fragment.is && p.fragment.offset > 0 {
		p.take(b, full, buf)
		return len(b) > 0
	}
	switch p.fixed.protocol {
	case protoTCP:
		return p.readTCP(b, full, buf)
	case protoUDP, protoUDPLite:
		return p.readPorts(b, full, 8, 6, 2, buf)
	case protoSCTP:
		return p.readPorts(b, full, 12, 8, 4, buf)
	case protoDCCP:
		return p.readPorts(b, full, 12, 6, 2, buf)
	case protoICMP, protoICMPv6:
		return p.readICMP(b, full, buf)
	}
	p.take(b, full, buf)
	return len(b) > 0 || full == 0
}

func (p *identity) readTCP(b []byte, full int, buf []byte) bool {
	const fixedLength = 20
	if len(b) < fixedLength {
		return false
	}
	p.ports(b)
	p.fixed.seq, p.fixed.ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.fixed.flags = binary.BigEndian.Uint16(b[12:])
	p.fixed.window, p.fixed.urgent = binary.BigEndian.Uint16(b[14:]), binary.BigEndian.Uint16(b[18:])
	p.take(b[fixedLength:], full-fixedLength, buf)
	hideMSS(p.content[:min(len(p.content), max(int(b[12]>>4)*4-fixedLength, 0))])
	return true
}

// hideMSS clears the one option that firewalls are made to change.
func hideMSS(options []byte) {
	const end, nop, mss = 0, 1, 2
	for len(options) > 1 {
		switch options[0] {
		case end:
			return
		case nop:
			options = options[1:]
			continue
		}
		n := int(options[1])
		if n < 2 || n > len(options) {
			return
		}
		if options[0] == mss {
			clear(options[2:n])
		}
		options = options[n:]
	}
}

// readPorts reads a header that begins with ports and has a checksum somewhere.
func (p *identity) readPorts(b []byte, full, header, checksum, size int, buf []byte) bool {
	if len(b) < header {
		return false
	}
	p.ports(b)
	p.take(b[4:], full-4, buf)
	clear(p.content[checksum-4 : checksum-4+size])
	return true
}

func (p *identity) ports(b []byte) {
	p.flow.sourcePort = binary.BigEndian.Uint16(b)
	p.flow.destinationPort = binary.BigEndian.Uint16(b[2:])
}

// readICMP takes an echo's id for a port, as NAT does.
func (p *identity) readICMP(b []byte, full int, buf []byte) bool {
	const header = 8
	if len(b) < header {
		return false
	}
	p.fixed.kind, p.fixed.code = b[0], b[1]
	if echo(p.fixed.protocol, b[0]) {
		p.flow.sourcePort = binary.BigEndian.Uint16(b[4:])
		p.fixed.seq = uint32(binary.BigEndian.Uint16(b[6:]))
	} else {
		p.fixed.seq = binary.BigEndian.Uint32(b[4:])
	}
	p.take(b[header:], full-header, buf)
	return true
}

func echo(protocol, kind uint8) bool {
	if protocol == protoICMP {
		return kind == 0 || kind == 8
	}
	return kind == 128 || kind == 129
}

// take keeps the content, which may be changed afterwards.
func (p *identity) take(b []byte, full int, buf []byte) {
	n := min(len(b), maxContent)
	p.content = append(buf, b[:n]...)
	p.whole = len(b) >= full || n == maxContent
}

// hasher makes identities into numbers; what is equal in both is compared again.
type hasher struct {
	seed maphash.Seed
	buf  []byte
}

// of hashes p as if it were seen in another flow, with so much of its content.
func (h *hasher) of(p *identity, f *flow, content []byte, level int) uint64 {
	x := &p.fixed
	b := append(h.buf[:0], byte(level), x.protocol, x.kind, x.code)
	b = binary.LittleEndian.AppendUint16(b, x.etherType)
	b = binary.LittleEndian.AppendUint16(b, x.flags)
	b = binary.LittleEndian.AppendUint16(b, x.window)
	b = binary.LittleEndian.AppendUint16(b, x.urgent)
	b = binary.LittleEndian.AppendUint16(b, x.fragment)
	b = binary.LittleEndian.AppendUint32(b, x.length)
	b = binary.LittleEndian.AppendUint32(b, x.id)
	b = binary.LittleEndian.AppendUint32(b, x.seq)
	b = binary.LittleEndian.AppendUint32(b, x.ack)
	b = append(b, f.source[:]...)
	b = append(b, f.destination[:]...)
	b = binary.LittleEndian.AppendUint16(b, f.sourcePort)
	b = binary.LittleEndian.AppendUint16(b, f.destinationPort)
	h.buf = append(b, content...)
	return maphash.Bytes(h.seed, h.buf)
}

// ofDatagram hashes what all fragments of a datagram share.
func (h *hasher) ofDatagram(f *flow, id uint32, transport uint8) uint64 {
	b := append(h.buf[:0], 0xff, transport)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = append(b, f.source[:]...)
	h.buf = append(b, f.destination[:]...)
	return maphash.Bytes(h.seed, h.buf)
}
