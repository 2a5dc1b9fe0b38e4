// Package packet reads the first bytes of a packet, from its network header on:
// who sent it to whom, over which protocol, and what the headers say of its
// length. The bytes may end anywhere and may lie about themselves; what cannot
// be read stays unset.
//
// Numbers are in host byte order. Lengths are in bytes.
package packet

import "net/netip"

// Packet is the outermost header with what stands around and inside it.
type Packet struct {
	Header
	// Tags holds the control information of the VLAN tags that stand in the
	// bytes themselves, the outer one first; Tagged counts them. A tag that the
	// kernel keeps beside the packet is not among them.
	Tags   [maxTags]uint16
	Tagged int
	// Inner is the header that an ICMP error quotes, if HasInner. The quoting
	// goes one level deep: an error is never sent about an error.
	Inner    Header
	HasInner bool
}

// Header is a network header and the transport header behind it.
type Header struct {
	// EtherType is that of the network header, behind all VLAN tags.
	EtherType EtherType
	// Source and Destination are ARP's sender and target; invalid where the
	// bytes do not hold them.
	Source, Destination netip.Addr

	// Protocol is what follows the network header and the IPv6 extension
	// headers, if HasProtocol: they may be cut, or too many to follow.
	Protocol    Protocol
	HasProtocol bool
	// HasPorts is false for a fragment past the first, which has none.
	HasPorts                    bool
	SourcePort, DestinationPort uint16

	HasTCP bool // the whole header but for its options is here
	TCP    TCP

	HasICMP bool
	ICMP    ICMP

	HasKey bool   // GRE only
	Key    uint32 // PPTP keeps a length and the call's number in it

	HasARP bool
	ARP    ARP

	// IPLength is the length that the IP header gives, the header included; 0
	// where it gives none, as for packets over 64 KiB. What GSO still has to cut
	// counts as one packet.
	IPLength int
	// PayloadLength is what the headers promise behind the transport header, or
	// behind the network header for a fragment past the first and for protocols
	// that are not read; -1 where it is not known.
	PayloadLength int

	TTL   uint8 // hop limit in IPv6
	HasID bool  // IPv4 only
	ID    uint16

	HasFragment bool
	Fragment    Fragment
}

// TCP is the fixed part of a TCP header.
type TCP struct {
	Seq, Ack     uint32
	Window       uint16
	Urgent       uint16 // pointer
	Flags        TCPFlags
	HeaderLength int // options included
	Offset       int // of the header behind the network header's first byte
}

// ICMP is the header of ICMP and ICMPv6.
type ICMP struct {
	Type, Code uint8
	HasEcho    bool // ID and Seq are valid: an echo request or reply
	ID, Seq    uint16
	// Rest is what follows the checksum where no echo does: an MTU, a gateway.
	Rest [4]byte
	// Target is what a neighbor solicitation or advertisement is about.
	Target netip.Addr
}

// ARP is what an ARP packet holds besides the addresses of IPv4. The hardware
// addresses are unset unless they are six bytes long.
type ARP struct {
	Operation      uint16
	SenderHardware [6]byte
	TargetHardware [6]byte
}

// Operations of ARP.
const (
	ARPRequest = 1
	ARPReply   = 2
)

// Fragment tells which piece of a datagram a packet is.
type Fragment struct {
	ID     uint32
	Offset int // of the piece in the datagram
	More   bool
}

// First reports whether the piece holds the transport header's beginning.
func (f Fragment) First() bool { return f.Offset == 0 }

// TCPFlags are the flags of a TCP header as they stand in it.
type TCPFlags uint8

// Flags of a TCP header.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)
