package packet

import (
	"encoding/binary"
	"net/netip"
)

const (
	// maxTags is how many VLAN tags are followed: a service's and a customer's.
	maxTags   = 2
	tagLength = 4

	arpFixed = 8 // an ARP packet up to its first address
)

// Parse reads b, which begins at the network header, into p and overwrites what
// p held. It never fails: what b is too short or too odd for stays unset. It
// does not allocate and keeps nothing of b.
func Parse(protocol EtherType, b []byte, p *Packet) {
	if p.HasInner {
		p.Inner = Header{} // the larger half is mostly clean
	}
	p.HasInner = false
	p.Tags, p.Tagged = [maxTags]uint16{}, 0
	p.Header = Header{}

	for p.Tagged < maxTags && protocol.isTag() && len(b) >= tagLength {
		p.Tags[p.Tagged] = binary.BigEndian.Uint16(b)
		p.Tagged++
		protocol = EtherType(binary.BigEndian.Uint16(b[2:]))
		b = b[tagLength:]
	}
	quoted := p.Header.parse(protocol, b)
	if quoted == nil {
		return
	}
	p.Inner.parse(protocol, quoted)
	p.HasInner = p.Inner.Source.IsValid()
	if !p.HasInner {
		p.Inner = Header{}
	}
}

// parse reads one network header and returns what an ICMP error quotes.
func (h *Header) parse(protocol EtherType, b []byte) (quoted []byte) {
	h.EtherType = protocol
	h.PayloadLength = -1
	switch protocol {
	case EtherIPv4:
		return h.parseIPv4(b)
	case EtherIPv6:
		return h.parseIPv6(b)
	case EtherARP:
		h.parseARP(b)
	}
	return nil
}

// parseARP reads ARP for IPv4 over any kind of link: InfiniBand's addresses are
// not six bytes long (RFC 826, RFC 4391).
func (h *Header) parseARP(b []byte) {
	if len(b) < arpFixed || EtherType(binary.BigEndian.Uint16(b[2:])) != EtherIPv4 || b[5] != 4 {
		return
	}
	hardware := int(b[4])
	sender := arpFixed + hardware
	target := sender + 4 + hardware
	if len(b) < target+4 {
		return
	}
	h.Source = netip.AddrFrom4([4]byte(b[sender:]))
	h.Destination = netip.AddrFrom4([4]byte(b[target:]))
	h.HasARP = true
	h.ARP.Operation = binary.BigEndian.Uint16(b[6:])
	if hardware == len(h.ARP.SenderHardware) {
		h.ARP.SenderHardware = [6]byte(b[arpFixed:])
		h.ARP.TargetHardware = [6]byte(b[sender+4:])
	}
}
