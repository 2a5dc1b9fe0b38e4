package explain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// Description is a packet in words, for [Build].
type Description struct {
	Source, Destination netip.Addr
	// Protocol is IPPROTO_*; 0 is TCP where ports are given.
	Protocol                    uint8
	SourcePort, DestinationPort uint16
	TCPFlags                    uint8 // 0 is SYN
	ICMPType, ICMPCode          uint8
	ICMPID                      uint16
	// Length of the whole packet in bytes, from the network header on; 0 for
	// headers alone. TTL 0 is 64.
	Length    int
	TTL, DSCP uint8
	// FragmentOffset in bytes, a multiple of 8; past 0 there is no transport
	// header. MoreFragments marks all but the last.
	FragmentOffset int
	MoreFragments  bool
	// SourceMAC and DestinationMAC, 6 bytes each; nil where not known.
	SourceMAC, DestinationMAC []byte
	// In is where it comes in; with In.Known and no name it is of this host.
	In, Out replay.Interface
	Mark    uint32
	// State is a bit of ruleset.CTNew and so on, 0 where not known.
	State    uint32
	UID, GID int // -1 where not known, -2 for no socket
}

var errDescription = errors.New("cannot build packet")

// Of IPPROTO_* and ETH_P_*.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	fragment     = 44 // IPv6's extension header
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
	etherIPv4    = 0x0800
	etherIPv6    = 0x86dd
)

// Build makes the packet, with real bytes. A new connection gets the entry that
// conntrack makes for it.
func Build(d Description) (*replay.Packet, error) {
	if !d.Source.IsValid() || !d.Destination.IsValid() {
		return nil, fmt.Errorf("%w: source and destination are needed", errDescription)
	}
	d.Source, d.Destination = d.Source.Unmap(), d.Destination.Unmap()
	if d.Source.Is4() != d.Destination.Is4() {
		return nil, fmt.Errorf("%w: source %v and destination %v are of two families", errDescription, d.Source, d.Destination)
	}
	if d.Protocol == 0 {
		d.Protocol = protoTCP
	}
	p := &replay.Packet{
		EtherType: etherIPv4, In: d.In, Out: d.Out, Mark: d.Mark, MarkKnown: true,
		PacketType: packetType(d.Destination), UID: d.UID, GID: d.GID,
		Conntrack: replay.Conntrack{State: d.State},
	}
	if !d.Source.Is4() {
		p.EtherType = etherIPv6
	}
	p.Bytes = d.bytes()
	if d.Length != 0 && d.Length < len(p.Bytes) {
		return nil, fmt.Errorf("%w: its headers alone have %d bytes, more than %d", errDescription, len(p.Bytes), d.Length)
	}
	p.Length = max(d.Length, len(p.Bytes))
	if p.Length > 0xffff {
		return nil, fmt.Errorf("%w: %d bytes are too many", errDescription, p.Length)
	}
	// A little of the payload, so that matches behind the header see zeros.
	p.Bytes = append(p.Bytes, make([]byte, p.Length-len(p.Bytes))...)
	p.Link = d.link(p.EtherType)
	if d.State == ruleset.CTNew {
		p.Conntrack = newEntry(d)
	}
	return p, nil
}

func packetType(to netip.Addr) int {
	switch {
	case to.IsMulticast():
		return 2
	case to == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return 1
	}
	return 0
}

// link is an Ethernet header; nil without both addresses.
func (d *Description) link(etherType uint16) []byte {
	if len(d.SourceMAC) != 6 || len(d.DestinationMAC) != 6 {
		return nil
	}
	b := append(append([]byte(nil), d.DestinationMAC...), d.SourceMAC...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

func (d *Description) bytes() []byte {
	var l4 []byte
	if d.FragmentOffset == 0 {
		l4 = d.transport()
	}
	length := max(d.Length, 0)
	if d.Source.Is4() {
		return d.ipv4(l4, length)
	}
	return d.ipv6(l4, length)
}

func (d *Description) ttl() uint8 {
	if d.TTL == 0 {
		return 64
	}
	return d.TTL
}

func (d *Description) ipv4(l4 []byte, length int) []byte {
	b := make([]byte, 20, 20+len(l4))
	b[0], b[1], b[8], b[9] = 0x45, d.DSCP<<2, d.ttl(), d.Protocol
	binary.BigEndian.PutUint16(b[2:], uint16(max(length, 20+len(l4))))
	word := uint16(d.FragmentOffset / 8)
	if d.MoreFragments {
		word |= 0x2000
	}
	binary.BigEndian.PutUint16(b[6:], word)
	copy(b[12:], d.Source.AsSlice())
	copy(b[16:], d.Destination.AsSlice())
	return append(b, l4...)
}

func (d *Description) ipv6(l4 []byte, length int) []byte {
	b := make([]byte, 40, 48+len(l4))
	binary.BigEndian.PutUint16(b, 6<<12|uint16(d.DSCP)<<6)
	b[6], b[7] = d.Protocol, d.ttl()
	copy(b[8:], d.Source.AsSlice())
	copy(b[24:], d.Destination.AsSlice())
	if d.FragmentOffset != 0 || d.MoreFragments {
		offset := uint16(d.FragmentOffset)
		if d.MoreFragments {
			offset |= 1
		}
		b[6] = fragment
		b = append(b, d.Protocol, 0, byte(offset>>8), byte(offset), 0, 0, 0, 1)
	}
	b = append(b, l4...)
	binary.BigEndian.PutUint16(b[4:], uint16(max(length, len(b))-40))
	return b
}

// headers is the length of what stands before the transport header.
func (d *Description) headers() int {
	switch {
	case d.Source.Is4():
		return 20
	case d.FragmentOffset != 0 || d.MoreFragments:
		return 48
	}
	return 40
}

func (d *Description) transport() []byte {
	be := binary.BigEndian
	var b []byte
	switch d.Protocol {
	case protoTCP:
		b = make([]byte, 20)
		b[12], b[13] = 5<<4, d.TCPFlags
		if d.TCPFlags == 0 {
			b[13] = 0x02
		}
	case protoUDP, protoUDPLite:
		b = make([]byte, 8)
		be.PutUint16(b[4:], uint16(max(d.Length-d.headers(), 8)))
	case protoSCTP:
		b = make([]byte, 16) // with an INIT chunk's head
		b[12], b[15] = 1, 20
	case protoDCCP:
		b = make([]byte, 16)
		b[4] = 4
	case protoICMP, protoICMPv6:
		b = make([]byte, 8)
		b[0], b[1] = d.ICMPType, d.ICMPCode
		switch d.ICMPType {
		case 0, 8, 13, 14, 128, 129: // those that have an ID: echo, timestamp
			binary.BigEndian.PutUint16(b[4:], d.ICMPID)
			b[7] = 1 // sequence
		}
		return b
	default:
		return nil
	}
	be.PutUint16(b, d.SourcePort)
	be.PutUint16(b[2:], d.DestinationPort)
	return b
}

// newEntry is conntrack's entry for the first packet of a connection.
func newEntry(d Description) replay.Conntrack {
	from, to := d.Source.AsSlice(), d.Destination.AsSlice()
	out := replay.Conntrack{State: ruleset.CTNew, Entry: true, Protocol: d.Protocol}
	out.Original = replay.Tuple{Source: from, Destination: to}
	out.Reply = replay.Tuple{Source: to, Destination: from}
	if packet.Protocol(d.Protocol).HasPorts() {
		out.Original.SourcePort, out.Original.DestinationPort = d.SourcePort, d.DestinationPort
		out.Reply.SourcePort, out.Reply.DestinationPort = d.DestinationPort, d.SourcePort
	}
	return out
}
