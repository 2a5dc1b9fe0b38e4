package explain

import (
	"encoding/binary"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

// Protocol numbers with a header that is built.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// Flags of a TCP header.
const (
	tcpSYN = 2
	tcpACK = 16
)

// Description is what is known of a packet that is asked about. A nil or zero
// field was not given: what is put in its place is told as assumed.
type Description struct {
	Protocol            uint8
	Source, Destination netip.Addr
	SourcePort          *uint16
	DestinationPort     *uint16
	TCPFlags            *uint8
	ICMPType, ICMPCode  *uint8
	Length              int // of the whole packet from the IP header on, bytes
	TTL, DSCP           *uint8
	ID                  *uint16
	Fragment            *Fragment
	Mark                *uint32
	UID, GID            *uint32
	SourceMAC           []byte // 6 bytes
	Conntrack           replay.Conntrack
	In, Out             string
}

// Fragment is one piece of a datagram.
type Fragment struct {
	Offset int // bytes
	More   bool
	ID     uint32
}

// Assumption is a field that was not given, and what was taken for it.
type Assumption struct {
	Fields []ruleset.Field
	Text   string
}

// Family of the packet: ip or ip6.
func (d *Description) Family() string {
	if d.Destination.Is4() {
		return "ip"
	}
	return "ip6"
}

// HasPorts reports whether the protocol's header begins with two ports.
func HasPorts(protocol uint8) bool {
	switch protocol {
	case protoTCP, protoUDP, protoDCCP, protoSCTP, protoUDPLite:
		return true
	}
	return false
}

// Packet builds the packet as it is on the wire, and says what it had to assume.
func (d *Description) Packet() (replay.Packet, []Assumption) {
	b := builder{d: d}
	p := replay.Packet{Conntrack: d.Conntrack, Link: d.link(), UID: -1, GID: -1, PacketType: -1, MarkKnown: true}
	if d.UID != nil {
		p.UID = int(*d.UID)
	}
	if d.GID != nil {
		p.GID = int(*d.GID)
	}
	if d.Mark != nil {
		p.Mark = *d.Mark
	} else {
		b.assume("mark 0", ruleset.Mark)
	}
	transport := b.transport()
	if d.Family() == "ip" {
		p.EtherType, p.Bytes = 0x0800, b.ipv4(transport)
	} else {
		p.EtherType, p.Bytes = 0x86dd, b.ipv6(transport)
	}
	p.Length = max(d.Length, len(p.Bytes))
	if d.Length == 0 {
		b.assume("no payload", ruleset.Length, ruleset.IPLength, udpLength(), ip6PayloadLength())
	}
	return p, b.assumed
}

func udpLength() ruleset.Field {
	f, _ := ruleset.Payload(ruleset.Transport, 4, 2)
	return f
}

func ip6PayloadLength() ruleset.Field {
	f, _ := ruleset.Payload(ruleset.Network, 4, 2)
	return f
}

// link is an Ethernet header of which only the source is known; without a MAC
// nothing is.
func (d *Description) link() []byte {
	if len(d.SourceMAC) != 6 {
		return nil
	}
	// Bytes behind are cut, those before are zero: a rule on the destination is
	// rare, and told by its assumption.
	return append(make([]byte, 6), d.SourceMAC...)
}

// builder puts headers together.
type builder struct {
	d       *Description
	assumed []Assumption
}

func (b *builder) assume(text string, fields ...ruleset.Field) {
	b.assumed = append(b.assumed, Assumption{fields, text})
}

// transport is the header behind IP's; nil for protocols that have none here,
// and for later fragments.
func (b *builder) transport() []byte {
	d := b.d
	if d.Fragment != nil && d.Fragment.Offset > 0 {
		return nil
	}
	switch {
	case d.Protocol == protoTCP:
		return b.tcp()
	case HasPorts(d.Protocol):
		return append(b.ports(), 0, 0, 0, 0) // UDP's length is filled in below
	case d.Protocol == protoICMP || d.Protocol == protoICMPv6:
		return b.icmp()
	}
	return nil
}

func (b *builder) ports() []byte {
	var header []byte
	header = binary.BigEndian.AppendUint16(header, port(b.d.SourcePort))
	return binary.BigEndian.AppendUint16(header, port(b.d.DestinationPort))
}

func port(p *uint16) uint16 {
	if p == nil {
		return 0
	}
	return *p
}

func (b *builder) tcp() []byte {
	header := append(b.ports(), make([]byte, 16)...)
	flags := uint8(tcpSYN)
	if b.d.Conntrack.State == ruleset.CTEstablished {
		flags = tcpACK
	}
	if b.d.TCPFlags != nil {
		flags = *b.d.TCPFlags
	} else {
		text := "tcp-flags syn"
		if flags == tcpACK {
			text = "tcp-flags ack"
		}
		b.assume(text, ruleset.TCPFlags)
	}
	header[12], header[13] = 5<<4, flags
	header[14] = 0xfa // a window of 64,000
	return header
}

func (b *builder) icmp() []byte {
	header := make([]byte, 8)
	header[0] = 8
	text := "icmp-type echo-request"
	if b.d.Protocol == protoICMPv6 {
		header[0] = 128
	}
	if b.d.ICMPType != nil {
		header[0] = *b.d.ICMPType
	} else {
		b.assume(text, ruleset.ICMPType, ruleset.ICMPTypeCode)
	}
	if b.d.ICMPCode != nil {
		header[1] = *b.d.ICMPCode
	} else {
		b.assume("icmp-code 0", ruleset.ICMPCode, ruleset.ICMPTypeCode)
	}
	return header
}

func (b *builder) ttl() uint8 {
	if b.d.TTL != nil {
		return *b.d.TTL
	}
	b.assume("ttl 64", ruleset.IPTTL, ruleset.IP6HopLimit)
	return 64
}

func (b *builder) dscp() uint8 {
	if b.d.DSCP != nil {
		return *b.d.DSCP << 2
	}
	b.assume("dscp 0", ruleset.IPDSCP)
	return 0
}

func (b *builder) ipv4(transport []byte) []byte {
	d := b.d
	h := make([]byte, 20, 20+len(transport))
	h[0], h[1], h[8], h[9] = 0x45, b.dscp(), b.ttl(), d.Protocol
	length := max(d.Length, len(h)+len(transport))
	binary.BigEndian.PutUint16(h[2:], uint16(length))
	if d.ID != nil {
		binary.BigEndian.PutUint16(h[4:], *d.ID)
	} else {
		b.assume("ip id 0", ruleset.IPID)
	}
	if f := d.Fragment; f != nil {
		word := uint16(f.Offset / 8)
		if f.More {
			word |= 0x2000
		}
		binary.BigEndian.PutUint16(h[6:], word)
	} else {
		b.assume("no fragment", ruleset.IPFragment)
	}
	src, dst := d.Source.As4(), d.Destination.As4()
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	setUDPLength(d.Protocol, transport, length-len(h))
	return append(h, transport...)
}

func (b *builder) ipv6(transport []byte) []byte {
	d := b.d
	h := make([]byte, 40, 48+len(transport))
	class := b.dscp()
	h[0], h[1], h[6], h[7] = 0x60|class>>4, class<<4, d.Protocol, b.ttl()
	if f := d.Fragment; f != nil {
		h[6] = 44
		word := uint16(f.Offset) &^ 7
		if f.More {
			word |= 1
		}
		h = append(h, d.Protocol, 0)
		h = binary.BigEndian.AppendUint16(h, word)
		h = binary.BigEndian.AppendUint32(h, f.ID)
	}
	src, dst := d.Source.As16(), d.Destination.As16()
	copy(h[8:], src[:])
	copy(h[24:], dst[:])
	length := max(d.Length, len(h)+len(transport))
	binary.BigEndian.PutUint16(h[4:], uint16(length-40))
	setUDPLength(d.Protocol, transport, length-len(h))
	return append(h, transport...)
}

func setUDPLength(protocol uint8, transport []byte, length int) {
	if (protocol == protoUDP || protocol == protoUDPLite) && len(transport) >= 8 {
		binary.BigEndian.PutUint16(transport[4:], uint16(length))
	}
}
