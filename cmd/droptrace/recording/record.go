package recording

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/drop"
)

// recordFlag tells which parts an option 0x8d71 has; they stand in this order.
// Numbers are unsigned varints (encoding/binary) but for addresses and ports,
// which are in network order.
type recordFlag uint64

const (
	hasMark      recordFlag = 1 << iota // packet.mark
	hasSegments                         // packet.segments
	hasVLAN                             // packet.vlan
	hasPacket                           // length, then packet as JSON: the bytes do not hold it all
	hasRepeats                          // repeats
	hasTimeout                          // conntrack.timeout in seconds
	hasCTMark                           // conntrack.mark
	hasOriginal                         // conntrack.original, see appendTuple
	hasReply                            // conntrack.reply
	mirrorsReply                        // conntrack.reply is original turned round
	taggedBytes                         // the first tag in the bytes stood beside the packet
)

// varying are the parts of a drop that a verdict leaves out.
type varying struct {
	verdict  uint64
	flags    recordFlag
	parsed   int // bytes from the network header on that packet was read from
	mark     uint32
	segments int
	vlan     uint16
	packet   []byte
	repeats  uint64
	timeout  int
	ctMark   uint32
	original drop.Tuple
	reply    drop.Tuple
}

var errRecord = errors.New("the private part of a packet is damaged")

// appendRecord appends the value of an option 0x8d71.
func appendRecord(dst []byte, verdict int, d *drop.Drop, c *drop.Capture, packet []byte) []byte {
	flags := recordFlags(d)
	if c.Tagged {
		flags |= taggedBytes
	}
	if packet != nil {
		flags |= hasPacket
	}
	dst = binary.AppendUvarint(dst, uint64(verdict))
	dst = binary.AppendUvarint(dst, uint64(flags))
	dst = binary.AppendUvarint(dst, uint64(c.Parsed))
	if flags&hasPacket != 0 { // which holds the other facts of the packet too
		dst = binary.AppendUvarint(dst, uint64(len(packet)))
		dst = append(dst, packet...)
	}
	if flags&hasMark != 0 {
		dst = binary.AppendUvarint(dst, uint64(d.Packet.Mark))
	}
	if flags&hasSegments != 0 {
		dst = binary.AppendUvarint(dst, uint64(d.Packet.Segments))
	}
	if flags&hasVLAN != 0 {
		dst = binary.AppendUvarint(dst, uint64(*d.Packet.VLAN))
	}
	if flags&hasRepeats != 0 {
		dst = binary.AppendUvarint(dst, d.Repeats)
	}
	if d.Conntrack == nil {
		return dst
	}
	return appendConntrack(dst, flags, d.Conntrack)
}

func recordFlags(d *drop.Drop) (f recordFlag) {
	set := func(flag recordFlag, on bool) {
		if on {
			f |= flag
		}
	}
	set(hasMark, d.Packet.Mark != 0)
	set(hasSegments, d.Packet.Segments != 0)
	set(hasVLAN, d.Packet.VLAN != nil)
	set(hasRepeats, d.Repeats != 0)
	if c := d.Conntrack; c != nil {
		set(hasTimeout, c.Timeout != nil && *c.Timeout >= 0)
		set(hasCTMark, c.Mark != 0)
		set(hasOriginal, c.Original != nil)
		mirrored := c.Original != nil && c.Reply != nil && mirrors(c.Original, c.Reply)
		set(mirrorsReply, mirrored)
		set(hasReply, c.Reply != nil && !mirrored)
	}
	return f
}

func appendConntrack(dst []byte, flags recordFlag, c *drop.Conntrack) []byte {
	if flags&hasTimeout != 0 {
		dst = binary.AppendUvarint(dst, uint64(*c.Timeout))
	}
	if flags&hasCTMark != 0 {
		dst = binary.AppendUvarint(dst, uint64(c.Mark))
	}
	if flags&hasOriginal != 0 {
		dst = appendTuple(dst, c.Original)
	}
	if flags&hasReply != 0 {
		dst = appendTuple(dst, c.Reply)
	}
	return dst
}

// mirrors reports whether nothing is translated between two tuples, so that one
// tells the other. ICMP's differ in their types.
func mirrors(a, b *drop.Tuple) bool {
	return a.Source == b.Destination && a.Destination == b.Source &&
		a.SourcePort == b.DestinationPort && a.DestinationPort == b.SourcePort &&
		a.ICMPID == nil && b.ICMPID == nil && a.ICMPType == nil && b.ICMPType == nil &&
		a.ICMPCode == nil && b.ICMPCode == nil && a.Protocol == b.Protocol
}

func mirrored(t drop.Tuple) drop.Tuple {
	t.Source, t.Destination = t.Destination, t.Source
	t.SourcePort, t.DestinationPort = t.DestinationPort, t.SourcePort
	return t
}

// appendTuple writes a byte of what follows (4 or 6, with 0x10 for ICMP's
// numbers), addresses, ports, and ICMP's type, code and id. The protocol is part
// of the verdict.
func appendTuple(dst []byte, t *drop.Tuple) []byte {
	kind, at := byte(4), len(dst)
	dst = append(dst, 0)
	if t.Source.Is4() && t.Destination.Is4() {
		s, d := t.Source.As4(), t.Destination.As4()
		dst = append(append(dst, s[:]...), d[:]...)
	} else if t.Source.IsValid() && t.Destination.IsValid() {
		kind = 6
		s, d := t.Source.As16(), t.Destination.As16()
		dst = append(append(dst, s[:]...), d[:]...)
	} else {
		kind = 0
	}
	dst = binary.BigEndian.AppendUint16(dst, t.SourcePort)
	dst = binary.BigEndian.AppendUint16(dst, t.DestinationPort)
	if t.ICMPID != nil && t.ICMPType != nil && t.ICMPCode != nil {
		kind |= 0x10
		dst = append(dst, *t.ICMPType, *t.ICMPCode)
		dst = binary.BigEndian.AppendUint16(dst, *t.ICMPID)
	}
	dst[at] = kind
	return dst
}

// cursor reads what the functions above write; past the end it only fails.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) uint16() uint16 {
	b := c.bytes(2)
	if c.bad {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (c *cursor) tuple() (t drop.Tuple) {
	kind := c.bytes(1)
	if c.bad {
		return t
	}
	switch kind[0] & 0xf {
	case 4:
		if b := c.bytes(8); b != nil {
			t.Source, t.Destination = netip.AddrFrom4([4]byte(b)), netip.AddrFrom4([4]byte(b[4:]))
		}
	case 6:
		if b := c.bytes(32); b != nil {
			t.Source, t.Destination = netip.AddrFrom16([16]byte(b)), netip.AddrFrom16([16]byte(b[16:]))
		}
	}
	t.SourcePort, t.DestinationPort = c.uint16(), c.uint16()
	if kind[0]&0x10 != 0 {
		if b := c.bytes(2); b != nil {
			t.ICMPType, t.ICMPCode = new(b[0]), new(b[1])
			t.ICMPID = new(c.uint16())
		}
	}
	return t
}

// readRecord takes an option 0x8d71 apart. v.packet is part of b.
func readRecord(b []byte) (v varying, err error) {
	c := cursor{b: b}
	v.verdict, v.flags, v.parsed = c.uvarint(), recordFlag(c.uvarint()), int(c.uvarint()&0xffffff)
	if v.flags&hasPacket != 0 {
		v.packet = c.bytes(c.uvarint())
	}
	if v.flags&hasMark != 0 {
		v.mark = uint32(c.uvarint())
	}
	if v.flags&hasSegments != 0 {
		v.segments = int(c.uvarint() & 0xffffffff)
	}
	if v.flags&hasVLAN != 0 {
		v.vlan = uint16(c.uvarint())
	}
	if v.flags&hasRepeats != 0 {
		v.repeats = c.uvarint()
	}
	if v.flags&hasTimeout != 0 {
		v.timeout = int(c.uvarint() & 0xffffffff)
	}
	if v.flags&hasCTMark != 0 {
		v.ctMark = uint32(c.uvarint())
	}
	if v.flags&hasOriginal != 0 {
		v.original = c.tuple()
	}
	if v.flags&hasReply != 0 {
		v.reply = c.tuple()
	}
	if c.bad {
		return v, errRecord
	}
	return v, nil
}

// apply completes a copy of a verdict.
func (v *varying) apply(d *drop.Drop) error {
	if v.packet != nil {
		if err := json.Unmarshal(v.packet, &d.Packet); err != nil {
			return errRecord
		}
	}
	d.Repeats = v.repeats
	d.Packet.Mark, d.Packet.Segments = v.mark, v.segments
	if v.flags&hasVLAN != 0 {
		d.Packet.VLAN = new(v.vlan)
	} else {
		d.Packet.VLAN = nil
	}
	if d.Conntrack == nil {
		return nil
	}
	shape := d.Conntrack
	ct := *shape
	ct.Mark = v.ctMark
	if v.flags&hasTimeout != 0 {
		ct.Timeout = new(v.timeout)
	}
	ct.Original = v.tuple(hasOriginal, v.original, shape.Original)
	ct.Reply = v.tuple(hasReply, v.reply, shape.Reply)
	if v.flags&mirrorsReply != 0 && ct.Original != nil {
		ct.Reply = new(mirrored(*ct.Original))
	}
	d.Conntrack = &ct
	return nil
}

// tuple puts the protocol of the shape beside the numbers.
func (v *varying) tuple(flag recordFlag, t drop.Tuple, shape *drop.Tuple) *drop.Tuple {
	if v.flags&flag == 0 {
		return nil
	}
	if shape != nil {
		t.Protocol = shape.Protocol
	}
	return &t
}
