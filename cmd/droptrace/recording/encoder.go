package recording

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/drop"
)

// Encoder turns drops into the blocks of one file. It keeps what the file was
// told already; Begin starts another file.
type Encoder struct {
	Application string // program and version
	OS          string // kernel and release
	Snaplen     uint32 // 0 for no limit

	interfaces map[interfaceKey]uint32
	verdicts   verdicts
	record     []byte
}

// interfaceKey is what has an interface block of its own.
type interfaceKey struct {
	netns  uint32
	link   drop.LinkType
	device drop.Interface
}

// Begin appends the section header. Drops from now on will follow.
func (e *Encoder) Begin(dst []byte, now time.Time) []byte {
	e.interfaces = make(map[interfaceKey]uint32)
	e.verdicts = verdicts{}
	dst, start := beginBlock(dst, blockSection)
	dst = order.AppendUint32(dst, byteOrderMagic)
	dst = order.AppendUint16(dst, 1) // the format's version, 1.0
	dst = order.AppendUint16(dst, 0)
	dst = order.AppendUint64(dst, unspecified)
	dst = appendOption(dst, optHardware, runtime.GOARCH)
	dst = appendOption(dst, optOS, e.OS)
	dst = appendOption(dst, optApp, e.Application)
	dst = appendOption(dst, optVersion, []byte{version})
	dst = appendOption(dst, optStarted, order.AppendUint64(nil, uint64(now.UnixNano())))
	return endBlock(appendEnd(dst), start)
}

// Drop appends a packet, before it what the file was not told yet of its
// interface and verdict. lost is how many drops were lost since the one before. c
// may be nil where the bytes are not known.
func (e *Encoder) Drop(dst []byte, d *drop.Drop, c *drop.Capture, lost uint64) ([]byte, error) {
	var none drop.Capture
	if c == nil {
		none.Link = drop.LinkRaw
		c = &none
	}
	var number uint32
	dst, number = e.device(dst, d, c)
	v, encoded, err := e.verdicts.find(d)
	if err != nil {
		return dst, err
	}
	if encoded != nil {
		v.comment = output.Comment(v.drop)
		var start int
		dst, start = beginBlock(dst, blockVerdict)
		dst = order.AppendUint32(dst, uint32(v.number))
		dst = endBlock(appendPadded(dst, encoded), start)
	}
	return e.packet(dst, d, c, number, v, lost)
}

func (e *Encoder) packet(dst []byte, d *drop.Drop, c *drop.Capture, device uint32, v *verdict, lost uint64) ([]byte, error) {
	var packet []byte
	if etherType, b := network(c.Link, c.Data, c.Tagged); !enough(etherType, b, c.Parsed) {
		var err error
		if packet, err = json.Marshal(&d.Packet); err != nil {
			return dst, fmt.Errorf("encode packet: %w", err)
		}
	}
	dst, start := beginBlock(dst, blockPacket)
	dst = order.AppendUint32(dst, device)
	at := uint64(d.Time.UnixNano())
	dst = order.AppendUint32(dst, uint32(at>>32))
	dst = order.AppendUint32(dst, uint32(at))
	dst = order.AppendUint32(dst, uint32(len(c.Data)))
	dst = order.AppendUint32(dst, uint32(max(c.Original, len(c.Data))))
	dst = appendPadded(dst, c.Data)
	dst = appendComment(dst, v.comment, d)
	if flags := uint32(c.Direction) | uint32(c.Reception)<<2; flags != 0 {
		dst = appendOption(dst, optFlags, order.AppendUint32(nil, flags))
	}
	if lost > 0 {
		dst = appendOption(dst, optDrops, order.AppendUint64(nil, lost))
	}
	e.record = appendRecord(e.record[:0], v.number, d, c, packet)
	if len(e.record) > maxOption {
		return dst[:start], fmt.Errorf("a drop of %d bytes is too long to record", len(e.record))
	}
	dst = appendOption(dst, optRecord, e.record)
	return endBlock(appendEnd(dst), start), nil
}

// appendComment adds the tuples to the verdict where they say more than the
// packet.
func appendComment(dst []byte, comment string, d *drop.Drop) []byte {
	if d.Conntrack == nil || len(d.Conntrack.NAT) == 0 {
		return appendOption(dst, optComment, comment)
	}
	return appendOption(dst, optComment, comment+output.CommentNAT(d.Conntrack))
}

// device returns the number of the interface block, appended where it is new.
func (e *Encoder) device(dst []byte, d *drop.Drop, c *drop.Capture) ([]byte, uint32) {
	key := interfaceKey{netns: d.Netns.Inode, link: c.Link, device: c.Device}
	if n, ok := e.interfaces[key]; ok {
		return dst, n
	}
	n := uint32(len(e.interfaces))
	e.interfaces[key] = n
	dst, start := beginBlock(dst, blockInterface)
	dst = order.AppendUint16(dst, uint16(c.Link))
	dst = order.AppendUint16(dst, 0)
	dst = order.AppendUint32(dst, e.Snaplen)
	dst = appendOption(dst, optName, interfaceName(&d.Netns, c.Device.Name))
	dst = appendOption(dst, optAbout, interfaceAbout(&d.Netns, c.Device.Index))
	dst = appendOption(dst, optTSResol, []byte{nanoseconds})
	return endBlock(appendEnd(dst), start), n
}

// interfaceName puts the namespace before the interface, whose name can hold no
// colon (dev_valid_name). Our own namespace goes without saying.
func interfaceName(n *drop.Netns, device string) string {
	if device == "" {
		device = "none"
	}
	switch {
	case n.Own || n.Inode == 0:
		return output.Escape(device, false)
	case n.Name != "":
		return output.Escape(n.Name+":"+device, false)
	case n.Command != "":
		return output.Escape(n.Command+"("+strconv.Itoa(n.PID)+"):"+device, false)
	}
	return output.Escape(strconv.FormatUint(uint64(n.Inode), 10)+":"+device, false)
}

func interfaceAbout(n *drop.Netns, index uint32) string {
	return "interface " + strconv.FormatUint(uint64(index), 10) +
		", network namespace " + strconv.FormatUint(uint64(n.Inode), 10)
}

// ending is the last block.
type ending struct {
	drop.Counts
	Ended time.Time
}

// End appends the counters of the run, which ends now.
func (e *Encoder) End(dst []byte, counts drop.Counts, now time.Time) ([]byte, error) {
	b, err := json.Marshal(ending{counts, now})
	if err != nil {
		return dst, fmt.Errorf("encode counters: %w", err)
	}
	dst, start := beginBlock(dst, blockCounts)
	return endBlock(appendPadded(dst, b), start), nil
}

// enough reports whether as much is read from b as from the parsed bytes that it is
// the beginning of: it has all of them, or TCP's or UDP's header right behind IP's.
func enough(etherType uint16, b []byte, parsed int) bool {
	const ipv4, ipv6, tcp, udp = 0x0800, 0x86dd, 6, 17
	if parsed == 0 || len(b) >= parsed {
		return parsed > 0
	}
	need, next := 40, byte(0)
	switch {
	case etherType == ipv4 && len(b) >= 20:
		need, next = int(b[0]&0xf)*4, b[9]
	case etherType == ipv6 && len(b) >= need:
		next = b[6]
	}
	switch next {
	case tcp:
		return need >= 20 && len(b) >= need+20
	case udp:
		return need >= 20 && len(b) >= need+8
	}
	return false
}

// network finds the network header behind the link-layer header that Capture
// gives; tagged skips a tag as well. Other tags are left to package packet.
func network(link drop.LinkType, data []byte, tagged bool) (etherType uint16, b []byte) {
	const macs, ethernet, cooked, tag = 12, 14, 16, 4
	switch {
	case link == drop.LinkEthernet && tagged && len(data) >= ethernet+tag:
		return binary.BigEndian.Uint16(data[macs+tag:]), data[ethernet+tag:]
	case link == drop.LinkEthernet && !tagged && len(data) >= ethernet:
		return binary.BigEndian.Uint16(data[macs:]), data[ethernet:]
	case link == drop.LinkCooked && len(data) >= cooked:
		return binary.BigEndian.Uint16(data[cooked-2:]), data[cooked:]
	case link == drop.LinkRaw && len(data) > 0 && data[0]>>4 == 4:
		return 0x0800, data
	case link == drop.LinkRaw && len(data) > 0 && data[0]>>4 == 6:
		return 0x86dd, data
	}
	return 0, nil
}
