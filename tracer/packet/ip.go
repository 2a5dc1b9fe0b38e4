package packet

import (
	"encoding/binary"
	"net/netip"
)

const (
	ipv4Length     = 20 // without options
	ipv6Length     = 40
	fragmentLength = 8

	// MaxExtensions bounds how many IPv6 extension headers are followed; each
	// may stand once, Destination Options twice (RFC 8200, section 4.1).
	MaxExtensions = 8
	// minExtension is the unit of their lengths.
	minExtension = 8
)

func (h *Header) parseIPv4(b []byte) (quoted []byte) {
	if len(b) < ipv4Length || b[0]>>4 != 4 {
		return nil
	}
	length := int(b[0]&0xf) * 4
	h.Source = netip.AddrFrom4([4]byte(b[12:]))
	h.Destination = netip.AddrFrom4([4]byte(b[16:]))
	h.Protocol, h.HasProtocol = Protocol(b[9]), true
	h.TTL = b[8]
	h.ID, h.HasID = binary.BigEndian.Uint16(b[4:]), true
	h.IPLength = int(binary.BigEndian.Uint16(b[2:]))

	const more, offset = 0x2000, 0x1fff // 0x4000 is Don't Fragment
	if f := binary.BigEndian.Uint16(b[6:]); f&(more|offset) != 0 {
		h.HasFragment = true
		h.Fragment = Fragment{ID: uint32(h.ID), Offset: int(f&offset) * 8, More: f&more != 0}
	}
	if length < ipv4Length {
		return nil
	}
	payload := -1
	if h.IPLength >= length {
		payload = h.IPLength - length
		b = b[:min(len(b), h.IPLength)] // no ports out of a short frame's padding
	}
	return h.parseTransport(b, length, payload)
}

func (h *Header) parseIPv6(b []byte) (quoted []byte) {
	if len(b) < ipv6Length || b[0]>>4 != 6 {
		return nil
	}
	h.Source = netip.AddrFrom16([16]byte(b[8:]))
	h.Destination = netip.AddrFrom16([16]byte(b[24:]))
	h.TTL = b[7]
	payload := -1
	// 0 means a jumbogram, whose length stands in an option (RFC 2675), or more
	// than 64 KiB that GSO will cut.
	if n := int(binary.BigEndian.Uint16(b[4:])); n != 0 {
		payload = n
		h.IPLength = ipv6Length + n
		b = b[:min(len(b), h.IPLength)]
	}
	next := Protocol(b[6])
	if !next.isExtension() {
		h.Protocol, h.HasProtocol = next, true
		return h.parseTransport(b, ipv6Length, payload)
	}
	return h.parseExtensions(next, b, payload)
}

// parseExtensions walks over the extension headers, of which next is the first.
// Behind the header of a fragment past the first only the kind of what follows
// is known, nothing of it is here.
func (h *Header) parseExtensions(next Protocol, b []byte, payload int) (quoted []byte) {
	at := ipv6Length
	for range MaxExtensions {
		if !next.isExtension() {
			break
		}
		if len(b) < at+minExtension {
			return nil
		}
		e := b[at : at+minExtension]
		fragment := next == ipv6Fragment
		next = Protocol(e[0])
		if !fragment {
			at += (int(e[1]) + 1) * minExtension
			continue
		}
		at += fragmentLength
		h.setFragment(e)
		if !h.Fragment.First() {
			break
		}
	}
	if next.isExtension() {
		return nil
	}
	h.Protocol, h.HasProtocol = next, true
	if payload >= 0 {
		payload = max(payload-(at-ipv6Length), -1)
	}
	return h.parseTransport(b, at, payload)
}

func (h *Header) setFragment(b []byte) {
	const more, offset = 0x1, 0xfff8
	f := binary.BigEndian.Uint16(b[2:])
	h.HasFragment = true
	h.Fragment = Fragment{
		ID:     binary.BigEndian.Uint32(b[4:]),
		Offset: int(f & offset),
		More:   f&more != 0,
	}
}
