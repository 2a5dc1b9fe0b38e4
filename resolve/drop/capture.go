package drop

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/packet"
)

// LinkType says what a capture's bytes begin with, in the numbers of
// https://www.tcpdump.org/linktypes.html.
type LinkType uint16

// Link types that the kernel side can give.
const (
	LinkEthernet LinkType = 1
	LinkRaw      LinkType = 101 // an IPv4 or IPv6 header
	LinkCooked   LinkType = 113 // LINKTYPE_LINUX_SLL: 16 bytes with the EtherType
)

// Direction is that of the packet at its interface.
type Direction uint8

// Directions, and the ways of being received, in the numbers of pcapng's
// epb_flags.
const (
	DirectionUnknown Direction = iota
	Inbound
	Outbound
)

// Reception tells to whom the packet's link-layer address belongs.
type Reception uint8

// Receptions.
const (
	ReceptionUnknown Reception = iota
	Unicast
	Multicast
	Broadcast
	Promiscuous // another host's
)

// Capture is a dropped packet as the kernel had it.
type Capture struct {
	Link      LinkType
	Data      []byte
	Original  int // bytes that the packet had; a GSO packet is one
	Device    Interface
	Direction Direction
	Reception Reception
	// Parsed is how many bytes from the network header on the drop's Packet
	// was read from.
	Parsed int
	// Tagged: the first tag in Data is one that the kernel kept beside the
	// packet, and stands before what Parsed counts.
	Tagged bool

	buf []byte
}

const (
	ethernetLength = 14
	macsLength     = 12
	cookedLength   = 16

	arphrdEther    = 1
	arphrdLoopback = 772
)

// Read fills c with the bytes of e: those behind the record or, where it was made
// without, the first of its network header. c.Data is part of e or of c itself,
// and lives until either is used again.
func (c *Capture) Read(e *event.Event) {
	buf := c.buf
	*c = Capture{buf: buf, Parsed: len(e.Packet())}
	data, link, original := e.Data, int(e.Bytes.LinkLength), int(e.Bytes.Original)
	if len(data) == 0 {
		// What was not asked for is still in the header bytes.
		data, original, link = e.Packet(), original-link, 0
	}
	ether := e.Bytes.DeviceType == arphrdEther || e.Bytes.DeviceType == arphrdLoopback
	switch {
	case ether && link >= ethernetLength && len(data) >= ethernetLength:
		c.Link = LinkEthernet
		data, original = c.tagged(e, data, original)
	default:
		skip := min(link, len(data))
		data, original = data[skip:], original-link
		c.Link = LinkRaw
		if p := packet.EtherType(e.Protocol); p != packet.EtherIPv4 && p != packet.EtherIPv6 || !hasVersion(data) {
			c.Link = LinkCooked
			data, original = c.cooked(e, data), original+cookedLength
		}
	}
	c.Data, c.Original = data, max(original, len(data))
	c.device(e)
}

// hasVersion reports whether a reader of LINKTYPE_RAW, which goes by the first
// four bits, would find an IP header.
func hasVersion(b []byte) bool { return len(b) == 0 || b[0]>>4 == 4 || b[0]>>4 == 6 }

// tagged puts a tag back that the kernel had taken out of the bytes, as tcpdump
// does.
func (c *Capture) tagged(e *event.Event, data []byte, original int) ([]byte, int) {
	if e.Flags&event.VLAN == 0 {
		return data, original
	}
	c.Tagged = true
	proto := e.Bytes.VLANProto
	if proto == 0 {
		proto = 0x8100
	}
	b := append(c.buf[:0], data[:macsLength]...)
	b = binary.BigEndian.AppendUint16(b, proto)
	b = binary.BigEndian.AppendUint16(b, e.VLANTCI)
	c.buf = append(b, data[macsLength:]...)
	return c.buf, original + 4
}

// cooked makes the header that tells the protocol of a packet that begins with
// its network header.
func (c *Capture) cooked(e *event.Event, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(c.buf[:0], uint16(e.PktType))
	b = binary.BigEndian.AppendUint16(b, e.Bytes.DeviceType)
	b = append(b, make([]byte, 10)...) // no address
	b = binary.BigEndian.AppendUint16(b, e.Protocol)
	c.buf = append(b, data...)
	return c.buf
}

// PACKET_* of uapi linux/if_packet.h.
const (
	packetHost = iota
	packetBroadcast
	packetMulticast
	packetOtherHost
	packetOutgoing
)

// device takes the interface that the packet was at: where it came in, or, past
// the routing of what leaves, where it goes out.
func (c *Capture) device(e *event.Event) {
	switch e.PktType {
	case packetHost:
		c.Reception = Unicast
	case packetBroadcast:
		c.Direction, c.Reception = Inbound, Broadcast
	case packetMulticast:
		c.Direction, c.Reception = Inbound, Multicast
	case packetOtherHost:
		c.Direction, c.Reception = Inbound, Promiscuous
	case packetOutgoing:
		c.Direction = Outbound
	}
	switch {
	case e.Hook != event.NoHook && e.InIndex != 0:
		c.Direction = Inbound
		c.Device = Interface{Index: e.InIndex, Name: event.Text(e.InName[:])}
	case e.Hook != event.NoHook && e.OutIndex != 0:
		c.Direction = Outbound
		c.Device = Interface{Index: e.OutIndex, Name: event.Text(e.OutName[:])}
	default:
		c.Device = Interface{Index: e.DevIndex, Name: event.Text(e.DevName[:])}
	}
	if c.Direction == Outbound {
		c.Reception = ReceptionUnknown
	}
}
