package ruleset

import "fmt"

// Field is something of a packet that a rule can look at. Fields that mean the
// same are the same number whichever engine reads them: iptables' --dport and
// nft's "tcp dport" are both [DestinationPort], which is also what two raw bytes
// at offset 2 of the transport header are.
//
// A field's value is a byte string of fixed length, big endian, so that values
// compare as the numbers that they are: a mark (which the kernel keeps in host
// order) is turned over, an address or port stands as on the wire. Interface
// names are 16 bytes, filled up with NUL.
type Field uint32

// The kind stands in the top four bits of a Field. Payload fields hold base,
// offset and length (bytes) below; the others a key.
const (
	kindPayload Field = (iota + 1) << 28
	kindMeta
	kindConntrack
	kindFIB
	kindExtension
	kindUnknown
)

// Base is the header that a payload field counts from: enum nft_payload_bases.
type Base uint8

const (
	Link      Base = 0
	Network   Base = 1
	Transport Base = 2
	Inner     Base = 3 // behind the transport header
)

const (
	network   = kindPayload | Field(Network)<<24
	transport = kindPayload | Field(Transport)<<24
)

// Fields inside headers. Those of the network header are of one family: rules of
// table inet test [NFProto] or [EtherType] first.
const (
	SourceMAC      = kindPayload | 6<<8 | 6
	DestinationMAC = kindPayload | 0<<8 | 6
	LinkType       = kindPayload | 12<<8 | 2

	IPDSCP        = network | 1<<8 | 1 // the whole byte: DSCP and ECN
	IPLength      = network | 2<<8 | 2
	IPID          = network | 4<<8 | 2
	IPFragment    = network | 6<<8 | 2 // flags and offset
	IPTTL         = network | 8<<8 | 1
	IPProtocol    = network | 9<<8 | 1
	IPSource      = network | 12<<8 | 4
	IPDestination = network | 16<<8 | 4

	IP6NextHeader  = network | 6<<8 | 1
	IP6HopLimit    = network | 7<<8 | 1
	IP6Source      = network | 8<<8 | 16
	IP6Destination = network | 24<<8 | 16

	SourcePort      = transport | 0<<8 | 2 // tcp, udp, udplite, sctp, dccp
	DestinationPort = transport | 2<<8 | 2
	TCPFlags        = transport | 13<<8 | 1
	ICMPType        = transport | 0<<8 | 1 // and ICMPv6
	ICMPCode        = transport | 1<<8 | 1
	ICMPTypeCode    = transport | 0<<8 | 2
)

// Properties of the packet that stand in no header.
const (
	EtherType    = kindMeta | iota<<8 | 2 // of the network header
	NFProto      = kindMeta | iota<<8 | 1 // NFPROTO_IPV4 2, NFPROTO_IPV6 10
	L4Protocol   = kindMeta | iota<<8 | 1 // behind IPv6's extension headers
	Length       = kindMeta | iota<<8 | 4 // of the packet from its network header on
	Mark         = kindMeta | iota<<8 | 4
	InName       = kindMeta | iota<<8 | 16
	OutName      = kindMeta | iota<<8 | 16
	InIndex      = kindMeta | iota<<8 | 4
	OutIndex     = kindMeta | iota<<8 | 4
	InType       = kindMeta | iota<<8 | 2 // ARPHRD_*
	OutType      = kindMeta | iota<<8 | 2
	InGroup      = kindMeta | iota<<8 | 4
	OutGroup     = kindMeta | iota<<8 | 4
	InBridge     = kindMeta | iota<<8 | 16 // the bridge that the port belongs to
	OutBridge    = kindMeta | iota<<8 | 16
	InPhysical   = kindMeta | iota<<8 | 16 // br_netfilter: the port itself
	OutPhysical  = kindMeta | iota<<8 | 16
	PacketType   = kindMeta | iota<<8 | 1 // PACKET_HOST 0, BROADCAST 1, MULTICAST 2, OTHERHOST 3
	Priority     = kindMeta | iota<<8 | 4
	SocketUID    = kindMeta | iota<<8 | 4
	SocketGID    = kindMeta | iota<<8 | 4
	Cgroup       = kindMeta | iota<<8 | 4
	CPU          = kindMeta | iota<<8 | 4
	RoutingClass = kindMeta | iota<<8 | 4
)

// What conntrack knows of the packet.
const (
	CTState         = kindConntrack | iota<<8 | 4 // bits: see CTInvalid and others
	CTDirection     = kindConntrack | iota<<8 | 1 // 0 original, 1 reply
	CTStatus        = kindConntrack | iota<<8 | 4 // IPS_* bits
	CTMark          = kindConntrack | iota<<8 | 4
	CTZone          = kindConntrack | iota<<8 | 2
	CTExpiration    = kindConntrack | iota<<8 | 4 // ms
	CTHelper        = kindConntrack | iota<<8 | 16
	CTL3Protocol    = kindConntrack | iota<<8 | 1
	CTProtocol      = kindConntrack | iota<<8 | 1
	CTOrigSource    = kindConntrack | iota<<8 | 16 // IPv4 in the first four bytes
	CTOrigDest      = kindConntrack | iota<<8 | 16
	CTOrigSrcPort   = kindConntrack | iota<<8 | 2
	CTOrigDestPort  = kindConntrack | iota<<8 | 2
	CTReplySource   = kindConntrack | iota<<8 | 16
	CTReplyDest     = kindConntrack | iota<<8 | 16
	CTReplySrcPort  = kindConntrack | iota<<8 | 2
	CTReplyDestPort = kindConntrack | iota<<8 | 2
	CTLabel         = kindConntrack | iota<<8 | 16
	CTBytes         = kindConntrack | iota<<8 | 8
	CTPackets       = kindConntrack | iota<<8 | 8
)

// Bits of [CTState], as nft's (NF_CT_STATE_BIT): iptables' --ctstate is turned
// into them.
const (
	CTInvalid     = 1 << 0
	CTEstablished = 1 << 1
	CTRelated     = 1 << 2
	CTNew         = 1 << 3
	CTUntracked   = 1 << 6
)

// FIB is a lookup of the routing table. Key holds NFTA_FIB_F_* bits.
func FIB(key uint8, result FIBResult) Field {
	size := Field(4)
	if result == FIBOutName {
		size = 16
	}
	return kindFIB | Field(key)<<16 | Field(result)<<8 | size
}

// FIBResult is what a [FIB] lookup is asked for.
type FIBResult uint8

const (
	FIBOutIndex FIBResult = 1
	FIBOutName  FIBResult = 2
	FIBType     FIBResult = 3 // RTN_UNICAST 1, LOCAL 2, BROADCAST 3, ANYCAST 4, MULTICAST 5, …
	FIBPresent  FIBResult = 4 // whether there is a route
)

// Bits of a [FIB] key: what is looked up (NFTA_FIB_F_*).
const (
	FIBSource   = 1 << 0
	FIBDest     = 1 << 1
	FIBMark     = 1 << 2
	FIBIn       = 1 << 3
	FIBOut      = 1 << 4
	fibAllBits  = 1<<6 - 1
	payloadMask = 1<<24 - 1
)

// Payload is length bytes at an offset from a header. ok is false where they are
// too far or too many for a Field.
func Payload(base Base, offset, length int) (f Field, ok bool) {
	if base > Inner || offset < 0 || offset > 0xffff || length < 1 || length > 0xff {
		return 0, false
	}
	return kindPayload | Field(base)<<24 | Field(offset)<<8 | Field(length), true
}

// Extension is a part of an IPv6 extension header or of a TCP or IPv4 option:
// kind is NFT_EXTHDR_OP_*. With length 0 it asks whether the header is there, and
// its value is one byte, 0 or 1.
func Extension(kind, number uint8, offset, length int) (f Field, ok bool) {
	if kind > 3 || offset < 0 || offset > 0xff || length < 0 || length > 0x3f {
		return 0, false
	}
	return kindExtension | Field(kind)<<24 | Field(number)<<16 | Field(offset)<<8 | Field(length), true
}

// Unknown is a value of length bytes that neither the packet nor the ruleset
// tells, such as a random number: part of a key whose other parts are known.
func Unknown(length int) Field { return kindUnknown | Field(length&0xff) }

// IsPayload takes a payload field apart.
func (f Field) IsPayload() (base Base, offset, length int, ok bool) {
	if f>>28<<28 != kindPayload {
		return 0, 0, 0, false
	}
	return Base(f >> 24 & 0xf), int(f & payloadMask >> 8), int(f & 0xff), true
}

// IsFIB takes a FIB field apart.
func (f Field) IsFIB() (key uint8, result FIBResult, ok bool) {
	if f>>28<<28 != kindFIB {
		return 0, 0, false
	}
	return uint8(f>>16) & fibAllBits, FIBResult(f >> 8 & 0xff), true
}

// IsExtension takes an extension field apart.
func (f Field) IsExtension() (kind, number uint8, offset, length int, ok bool) {
	if f>>28<<28 != kindExtension {
		return 0, 0, 0, 0, false
	}
	return uint8(f >> 24 & 0xf), uint8(f >> 16), int(f >> 8 & 0xff), int(f & 0xff), true
}

// IsConntrack reports whether conntrack tells the field's value.
func (f Field) IsConntrack() bool { return f>>28<<28 == kindConntrack }

// Size is the length of the field's values, in bytes.
func (f Field) Size() int {
	if _, _, _, length, ok := f.IsExtension(); ok && length == 0 {
		return 1
	}
	return int(f & 0xff)
}

// String names the field as nft does, without the protocol that a port is of.
func (f Field) String() string {
	if name := fieldName(f); name != "" {
		return name
	}
	if base, offset, length, ok := f.IsPayload(); ok {
		return fmt.Sprintf("@%s,%d,%d", [...]string{"ll", "nh", "th", "ih"}[base], offset*8, length*8)
	}
	if key, result, ok := f.IsFIB(); ok {
		return fmt.Sprintf("fib %#x %d", key, result)
	}
	if f>>28<<28 == kindUnknown {
		return "unknown"
	}
	return fmt.Sprintf("field %#x", uint32(f))
}

func fieldName(f Field) string {
	switch f {
	case SourceMAC:
		return "ether saddr"
	case DestinationMAC:
		return "ether daddr"
	case LinkType:
		return "ether type"
	case IPDSCP:
		return "ip dscp"
	case IPLength:
		return "ip length"
	case IPID:
		return "ip id"
	case IPFragment:
		return "ip frag-off"
	case IPTTL:
		return "ip ttl"
	case IPProtocol:
		return "ip protocol"
	case IPSource:
		return "ip saddr"
	case IPDestination:
		return "ip daddr"
	case IP6NextHeader:
		return "ip6 nexthdr"
	case IP6HopLimit:
		return "ip6 hoplimit"
	case IP6Source:
		return "ip6 saddr"
	case IP6Destination:
		return "ip6 daddr"
	case SourcePort:
		return "sport"
	case DestinationPort:
		return "dport"
	case TCPFlags:
		return "tcp flags"
	case ICMPType:
		return "icmp type"
	case ICMPCode:
		return "icmp code"
	}
	return metaName(f)
}

func metaName(f Field) string {
	switch f {
	case EtherType:
		return "meta protocol"
	case NFProto:
		return "meta nfproto"
	case L4Protocol:
		return "meta l4proto"
	case Length:
		return "meta length"
	case Mark:
		return "meta mark"
	case InName:
		return "iifname"
	case OutName:
		return "oifname"
	case InIndex:
		return "iif"
	case OutIndex:
		return "oif"
	case PacketType:
		return "meta pkttype"
	case SocketUID:
		return "meta skuid"
	case SocketGID:
		return "meta skgid"
	case CTState:
		return "ct state"
	case CTDirection:
		return "ct direction"
	case CTStatus:
		return "ct status"
	case CTMark:
		return "ct mark"
	case CTZone:
		return "ct zone"
	case CTHelper:
		return "ct helper"
	}
	return ""
}
