package capture

import "encoding/binary"

// LinkType is a number of https://www.tcpdump.org/linktypes.html.
type LinkType uint16

// Link types that Network knows.
const (
	linkNull     LinkType = 0
	linkEthernet LinkType = 1
	linkRaw12    LinkType = 12 // DLT_RAW of some systems, written as it is
	linkRaw14    LinkType = 14
	linkRaw      LinkType = 101
	linkLoop     LinkType = 108
	linkCooked   LinkType = 113
	linkIPv4     LinkType = 228
	linkIPv6     LinkType = 229
	linkCooked2  LinkType = 276
)

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd

	tagLength = 4
	maxTags   = 4
)

// Network returns the packet's bytes from its network header on, behind all VLAN
// tags, with what tells which it is. b is nil where the link type is not known or
// the packet too short.
func (p *Packet) Network() (etherType uint16, b []byte) {
	b = p.Data
	at := func(n int) (uint16, []byte) { // the type stands in the last two of n bytes
		if len(b) < n {
			return 0, nil
		}
		return untagged(binary.BigEndian.Uint16(b[n-2:]), b[n:])
	}
	switch p.Link {
	case linkEthernet:
		return at(14)
	case linkCooked:
		return at(16)
	case linkCooked2:
		const header = 20
		if len(b) < header {
			return 0, nil
		}
		return untagged(binary.BigEndian.Uint16(b), b[header:])
	case linkRaw, linkRaw12, linkRaw14, linkIPv4, linkIPv6:
		return byVersion(b)
	case linkNull, linkLoop:
		// The address family has other numbers on other systems.
		if len(b) < 4 {
			return 0, nil
		}
		return byVersion(b[4:])
	}
	return 0, nil
}

// untagged walks over VLAN tags.
func untagged(etherType uint16, b []byte) (uint16, []byte) {
	for range maxTags {
		if etherType != 0x8100 && etherType != 0x88a8 && etherType != 0x9100 {
			break
		}
		if len(b) < tagLength {
			return 0, nil
		}
		etherType, b = binary.BigEndian.Uint16(b[2:]), b[tagLength:]
	}
	return etherType, b
}

func byVersion(b []byte) (uint16, []byte) {
	if len(b) == 0 {
		return 0, nil
	}
	switch b[0] >> 4 {
	case 4:
		return etherIPv4, b
	case 6:
		return etherIPv6, b
	}
	return 0, nil
}
