package diagnose

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/tracer/packet"
)

// wrongChecksum reports whether a packet that came in has a transport checksum that is
// wrong, from its bytes. It is false where that cannot be told: for a packet of this
// host, a piece of one, one with extension headers, and where conntrack is told to check
// none.
func (d *diagnosis) wrongChecksum() bool {
	switch d.c.Hook.Name {
	case "prerouting", "input", "forward":
	default:
		return false
	}
	if n, ok := d.number("net/netfilter/nf_conntrack_checksum"); ok && n == 0 {
		return false
	}
	body, ok := d.transport()
	if !ok {
		return false
	}
	at, pseudo := 0, d.pseudoHeader(len(body))
	switch d.f.Protocol {
	case packet.ProtoTCP:
		at = 16
	case packet.ProtoUDP:
		at = 6
	case packet.ProtoICMP:
		at, pseudo = 2, 0
	case packet.ProtoICMPv6:
		at = 2
	default:
		return false
	}
	if len(body) < at+2 {
		return false
	}
	stored := binary.BigEndian.Uint16(body[at:])
	if d.f.Protocol == packet.ProtoUDP && (stored == 0 || int(binary.BigEndian.Uint16(body[4:])) != len(body)) {
		return false // none, or malformed
	}
	// A sum that is left to hardware, or that GRO put together, is so far that of the
	// pseudo-header (CHECKSUM_PARTIAL): conntrack does not check it.
	partial := pseudo != 0 && stored == fold(pseudo)
	return !partial && fold(sum(pseudo, body)) != 0xffff
}

// transport is the packet behind its IP header, if it is all here.
func (d *diagnosis) transport() ([]byte, bool) {
	b, header := d.c.Packet.Bytes, 40
	if d.f.Tagged > 0 || d.f.HasFragment || !d.f.ip() || d.f.IPLength == 0 || len(b) < d.f.IPLength {
		return nil, false
	}
	switch {
	case d.f.EtherType == packet.EtherIPv4:
		header = int(b[0]&0xf) * 4
	case packet.Protocol(b[6]) != d.f.Protocol:
		return nil, false
	}
	if header < 20 || d.f.IPLength < header {
		return nil, false
	}
	return b[header:d.f.IPLength], true
}

// pseudoHeader is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200, 8.1).
func (d *diagnosis) pseudoHeader(length int) uint32 {
	s := sum(uint32(length)+uint32(d.f.Protocol), d.f.Source.AsSlice())
	return sum(s, d.f.Destination.AsSlice())
}

// sum adds b to a sum of 16-bit numbers (RFC 1071). b is at most 64 KiB.
func sum(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

// fold carries a sum into 16 bits.
func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
