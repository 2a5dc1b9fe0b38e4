package replay

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Protocol numbers that the evaluation itself has to know.
const (
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoSCTP    = 132
	protoUDPLite = 136

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// layout says where a packet's headers are, as nft_set_pktinfo finds them.
type layout struct {
	// l4 tells whether protocol and transport are known; Absent where the
	// kernel finds no transport header either.
	l4        Presence
	protocol  uint8
	transport int
	// later is a fragment that is not the first: it has no transport header.
	later bool
	// offset of a fragment, in bytes.
	offset int
	// extensions are where IPv6's extension headers begin, by number.
	extensions []extension
}

type extension struct {
	number uint8
	at     int
}

func layoutOf(p *Packet) layout {
	switch p.EtherType {
	case etherIPv4:
		return layoutIPv4(p)
	case etherIPv6:
		return layoutIPv6(p)
	}
	return layout{l4: Absent}
}

func layoutIPv4(p *Packet) layout {
	b := p.Bytes
	if len(b) < 20 {
		return layout{l4: short(p, 20)}
	}
	offset := int(binary.BigEndian.Uint16(b[6:])&0x1fff) * 8
	return layout{
		l4: Present, protocol: b[9], transport: int(b[0]&0xf) * 4,
		later: offset != 0, offset: offset,
	}
}

// short tells whether a packet that has not n bytes here has them at all.
func short(p *Packet, n int) Presence {
	if p.Length != 0 && p.Length < n {
		return Absent
	}
	if p.Length != 0 && len(p.Bytes) >= p.Length {
		return Absent
	}
	return NotKnown
}

const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	authHeader  = 51
	noNext      = 59
	destOptions = 60
)

// layoutIPv6 walks the extension headers as ipv6_find_hdr does for "the last".
func layoutIPv6(p *Packet) layout {
	b := p.Bytes
	if len(b) < 40 {
		return layout{l4: short(p, 40)}
	}
	out := layout{l4: Present, protocol: b[6], transport: 40}
	for isExtension(out.protocol) {
		at := out.transport
		// ipv6_find_hdr reads no more than it needs, and takes a header that is
		// cut for one that is whole.
		need := 2
		if out.protocol == fragment {
			need = 4
		}
		if len(b) < at+need {
			out.l4 = short(p, at+need)
			return out
		}
		out.extensions = append(out.extensions, extension{out.protocol, at})
		size := (int(b[at+1]) + 1) * 8
		switch out.protocol {
		case fragment:
			size = 8
			if out.offset = int(binary.BigEndian.Uint16(b[at+2:]) &^ 7); out.offset != 0 {
				out.later = true
				out.protocol = b[at]
				if isExtension(out.protocol) {
					out.l4 = Absent
				}
				out.transport = at
				return out
			}
		case authHeader:
			size = (int(b[at+1]) + 2) * 4
		}
		out.protocol, out.transport = b[at], at+size
	}
	return out
}

// isExtension is ipv6_ext_hdr without NEXTHDR_NONE, which ends the walk.
func isExtension(number uint8) bool {
	switch number {
	case hopByHop, routing, fragment, authHeader, destOptions:
		return true
	}
	return false
}

// base is where a header begins.
func (l *layout) base(p *Packet, base ruleset.Base) (at int, presence Presence) {
	switch base {
	case ruleset.Network:
		return 0, Present
	case ruleset.Transport:
		if l.l4 != Present {
			return 0, l.l4
		}
		if l.later {
			return 0, Absent // but see isFast
		}
		return l.transport, Present
	case ruleset.Inner:
		return l.inner(p)
	}
	return 0, NotKnown
}

// inner is what stands behind the transport header (nft_payload_inner_offset).
func (l *layout) inner(p *Packet) (int, Presence) {
	if l.l4 != Present {
		return 0, l.l4
	}
	if l.later {
		return 0, Absent
	}
	switch l.protocol {
	case protoUDP:
		return l.transport + 8, Present
	case protoTCP:
		if len(p.Bytes) < l.transport+13 {
			return 0, short(p, l.transport+20)
		}
		return l.transport + int(p.Bytes[l.transport+12]>>4)*4, Present
	}
	return 0, NotKnown // newer kernels know more of them
}

// slice reads bytes of a packet from its network header on.
func slice(p *Packet, at, length int) ([]byte, Presence) {
	if at+length <= len(p.Bytes) && (p.Length == 0 || at+length <= p.Length) {
		return p.Bytes[at : at+length], Present
	}
	return nil, short(p, at+length)
}
