package correlate

import "encoding/binary"

// quotes reports whether ICMP of this type carries the packet that it is about
// (RFC 792, RFC 4443).
func quotes(protocol, kind uint8) bool {
	if protocol == protoICMPv6 {
		return kind >= 1 && kind <= 4
	}
	switch kind {
	case 3, 4, 5, 11, 12:
		return true
	}
	return false
}

// readQuoted moves what NAT changes of a quoted packet from the content into
// p.inner: nf_nat_icmp_reply_translation changes it as it changes the outer one.
func (p *identity) readQuoted() {
	b := p.content
	if p.fixed.protocol == protoICMPv6 {
		const header = 40
		if len(b) < header {
			return
		}
		copy(p.inner.source[:], b[8:24])
		copy(p.inner.destination[:], b[24:40])
		clear(b[8:40])
		p.readQuotedTransport(b[6], b[header:])
		return
	}
	const header = 20
	if len(b) < header {
		return
	}
	copy(p.inner.source[:], b[12:16])
	copy(p.inner.destination[:], b[16:20])
	clear(b[10:20]) // with the checksum
	p.readQuotedTransport(b[9], b[min(max(int(b[0]&0xf)*4, header), len(b)):])
}

func (p *identity) readQuotedTransport(protocol uint8, b []byte) {
	hide := func(at, size int) {
		if len(b) >= at+size {
			clear(b[at : at+size])
		}
	}
	switch protocol {
	case protoTCP, protoUDP, protoUDPLite, protoSCTP, protoDCCP:
		if len(b) < 4 {
			return
		}
		p.inner.sourcePort, p.inner.destinationPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		hide(0, 4)
		switch protocol {
		case protoTCP:
			hide(16, 2)
		case protoSCTP:
			hide(8, 4)
		default:
			hide(6, 2)
		}
	case protoICMP, protoICMPv6:
		if len(b) >= 6 && echo(protocol, b[0]) {
			p.inner.sourcePort = binary.BigEndian.Uint16(b[4:])
			hide(2, 4)
		}
	}
}
