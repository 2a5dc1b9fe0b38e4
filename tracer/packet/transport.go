package packet

import (
	"encoding/binary"
	"net/netip"
)

const (
	portsLength = 4 // source and destination port, in all protocols that have them
	tcpLength   = 20
	udpLength   = 8
	sctpLength  = 12
	dccpLength  = 12
	icmpLength  = 8
	greLength   = 4 // and four for each optional field
)

// parseTransport reads what begins at b[at:]; payload is its length as the
// network header gives it, or -1. It returns what an ICMP error quotes.
func (h *Header) parseTransport(b []byte, at, payload int) (quoted []byte) {
	h.PayloadLength = payload
	if h.HasFragment && !h.Fragment.First() {
		return nil
	}
	b = b[min(at, len(b)):]
	if h.Protocol.HasPorts() && len(b) >= portsLength {
		h.HasPorts = true
		h.SourcePort = binary.BigEndian.Uint16(b)
		h.DestinationPort = binary.BigEndian.Uint16(b[2:])
	}
	header := 0
	switch h.Protocol {
	case ProtoTCP:
		header = h.parseTCP(b, at)
	case ProtoUDP:
		header = udpLength
		// Only UDP's own length tells it of a datagram in fragments.
		if len(b) >= udpLength {
			if n := int(binary.BigEndian.Uint16(b[4:])); n >= udpLength {
				h.PayloadLength = n
			}
		}
	case ProtoUDPLite:
		header = udpLength
	case ProtoSCTP:
		header = sctpLength
	case ProtoDCCP:
		header = dccpHeader(b)
	case ProtoGRE:
		header = h.parseGRE(b)
	case ProtoICMP, ProtoICMPv6:
		header = icmpLength
		quoted = h.parseICMP(b)
	}
	if header < 0 || header > h.PayloadLength {
		h.PayloadLength = -1
	} else {
		h.PayloadLength -= header
	}
	return quoted
}

// parseTCP returns the length of the header, -1 if that is not known.
func (h *Header) parseTCP(b []byte, at int) int {
	if len(b) < tcpLength {
		return -1
	}
	h.HasTCP = true
	h.TCP = TCP{
		Seq:          binary.BigEndian.Uint32(b[4:]),
		Ack:          binary.BigEndian.Uint32(b[8:]),
		HeaderLength: int(b[12]>>4) * 4,
		Flags:        TCPFlags(b[13]),
		Window:       binary.BigEndian.Uint16(b[14:]),
		Urgent:       binary.BigEndian.Uint16(b[18:]),
		Offset:       at,
	}
	if h.TCP.HeaderLength < tcpLength {
		return -1
	}
	return h.TCP.HeaderLength
}

// dccpHeader reads the data offset (RFC 4340, section 5.1).
func dccpHeader(b []byte) int {
	if len(b) < dccpLength || b[4] < dccpLength/4 {
		return -1
	}
	return int(b[4]) * 4
}

// parseGRE reads the key. Its place depends on what stands before it (RFC 2890);
// the same bit means a length and a call in version 1, PPTP's (RFC 2637).
func (h *Header) parseGRE(b []byte) int {
	const checksum, routing, key, sequence, acknowledgment = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	const version = 0x7
	if len(b) < greLength {
		return -1
	}
	flags := binary.BigEndian.Uint16(b)
	at := greLength
	if flags&(checksum|routing) != 0 {
		at += 4
	}
	if flags&key != 0 {
		if len(b) >= at+4 {
			h.HasKey, h.Key = true, binary.BigEndian.Uint32(b[at:])
		}
		at += 4
	}
	if flags&sequence != 0 {
		at += 4
	}
	switch flags & version {
	case 0:
		if flags&routing != 0 {
			return -1 // source routes of any length follow (RFC 1701)
		}
		return at
	case 1:
		if flags&acknowledgment != 0 {
			at += 4
		}
		return at
	}
	return -1
}

// parseICMP reads the protocol that belongs to the family: the other one is
// refused by every stack, whatever its bytes say.
func (h *Header) parseICMP(b []byte) (quoted []byte) {
	if len(b) < icmpLength || (h.Protocol == ProtoICMPv6) != (h.EtherType == EtherIPv6) {
		return nil
	}
	h.HasICMP = true
	h.ICMP.Type, h.ICMP.Code = b[0], b[1]
	switch {
	case h.isEcho():
		h.ICMP.HasEcho = true
		h.ICMP.ID = binary.BigEndian.Uint16(b[4:])
		h.ICMP.Seq = binary.BigEndian.Uint16(b[6:])
		return nil
	}
	h.ICMP.Rest = [4]byte(b[4:])
	switch {
	case h.isError():
		return b[icmpLength:]
	case h.isNeighbor() && len(b) >= icmpLength+16:
		h.ICMP.Target = netip.AddrFrom16([16]byte(b[icmpLength:]))
	}
	return nil
}

func (h *Header) isEcho() bool {
	if h.Protocol == ProtoICMPv6 {
		return h.ICMP.Type == 128 || h.ICMP.Type == 129
	}
	return h.ICMP.Type == 0 || h.ICMP.Type == 8
}

// isNeighbor reports whether the address of a neighbor follows: RFC 4861.
func (h *Header) isNeighbor() bool {
	return h.Protocol == ProtoICMPv6 && (h.ICMP.Type == 135 || h.ICMP.Type == 136)
}

// isError reports whether the packet that caused this one follows: destination
// unreachable, source quench, redirect, time exceeded, parameter problem of RFC
// 792; unreachable, too big, time exceeded, parameter problem of RFC 4443.
func (h *Header) isError() bool {
	if h.Protocol == ProtoICMPv6 {
		return h.ICMP.Type >= 1 && h.ICMP.Type <= 4
	}
	switch h.ICMP.Type {
	case 3, 4, 5, 11, 12:
		return true
	}
	return false
}
