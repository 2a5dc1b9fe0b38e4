package capture

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// Blocks and options of draft-ietf-opsawg-pcapng.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockOldPacket = 2
	blockSimple    = 3
	blockPacket    = 6

	byteOrderMagic = 0x1a2b3c4d

	optEnd      = 0
	optName     = 2
	optTSResol  = 9
	optTSOffset = 14

	maxBlock      = maxPacket + 1<<20
	maxInterfaces = 1 << 20
)

// pcapng is what a section has told.
type pcapng struct {
	interfaces []iface
}

type iface struct {
	link    LinkType
	name    string
	snaplen uint32
	ticks   uint64 // in a second
	offset  int64  // seconds
}

func (r *Reader) readNG(p *Packet) error {
	for {
		kind, body, err := r.block()
		if err != nil {
			return err
		}
		switch kind {
		case blockSection:
			r.ng = pcapng{}
		case blockInterface:
			err = r.device(body)
		case blockPacket:
			return r.packet(body, p)
		case blockOldPacket:
			return r.oldPacket(body, p)
		case blockSimple:
			return r.simplePacket(body, p)
		}
		if err != nil {
			return err
		}
	}
}

// block reads a whole block. A section header tells the byte order of its own
// length.
func (r *Reader) block() (kind uint32, body []byte, err error) {
	const head, tail = 8, 4
	start, err := r.in.Peek(head + 4)
	if len(start) == 0 && err != nil {
		return 0, nil, err
	}
	if len(start) < head+4 {
		return 0, nil, ErrCut
	}
	if binary.LittleEndian.Uint32(start) == blockSection {
		switch uint32(byteOrderMagic) {
		case binary.LittleEndian.Uint32(start[head:]):
			r.order = binary.LittleEndian
		case binary.BigEndian.Uint32(start[head:]):
			r.order = binary.BigEndian
		default:
			return 0, nil, fmt.Errorf("%w: a section of no byte order", ErrDamaged)
		}
	}
	kind = r.order.Uint32(start)
	n := r.order.Uint32(start[4:])
	if n < head+tail || n%4 != 0 || n > maxBlock {
		return 0, nil, fmt.Errorf("%w: a block of %d bytes", ErrDamaged, n)
	}
	b, err := r.take(int(n))
	if err != nil {
		return 0, nil, within(err)
	}
	return kind, b[head : n-tail], nil
}

func (r *Reader) device(b []byte) error {
	const fixed = 8
	if len(b) < fixed || len(r.ng.interfaces) == maxInterfaces {
		return fmt.Errorf("%w: an interface block", ErrDamaged)
	}
	d := iface{link: LinkType(r.order.Uint16(b)), snaplen: r.order.Uint32(b[4:]), ticks: 1e6}
	for b = b[fixed:]; len(b) >= 4; {
		code, n := r.order.Uint16(b), int(r.order.Uint16(b[2:]))
		b = b[4:]
		if code == optEnd || n > len(b) {
			break
		}
		switch {
		case code == optName:
			d.name = string(b[:n])
		case code == optTSResol && n == 1:
			if d.ticks = ticks(b[0]); d.ticks == 0 {
				return fmt.Errorf("%w: a clock of resolution %#x", ErrDamaged, b[0])
			}
		case code == optTSOffset && n == 8:
			d.offset = int64(r.order.Uint64(b))
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	r.ng.interfaces = append(r.ng.interfaces, d)
	return nil
}

// ticks reads if_tsresol: a negative power of ten or, with the highest bit, of two.
// It is 0 for one that no number here can hold.
func ticks(resolution byte) uint64 {
	exponent := resolution & 0x7f
	if resolution&0x80 != 0 {
		if exponent > 63 {
			return 0
		}
		return 1 << exponent
	}
	n := uint64(1)
	if exponent > 19 {
		return 0
	}
	for range exponent {
		n *= 10
	}
	return n
}

// time turns ticks into time, without losing any.
func (d *iface) time(at uint64) time.Time {
	high, low := bits.Mul64(at%d.ticks, 1e9)
	ns, _ := bits.Div64(high, low, d.ticks)
	return time.Unix(int64(at/d.ticks)+d.offset, int64(ns))
}

func (r *Reader) packet(b []byte, p *Packet) error {
	const fixed = 20
	if len(b) < fixed {
		return fmt.Errorf("%w: a packet block", ErrDamaged)
	}
	return r.stamped(b, uint64(r.order.Uint32(b)), b[fixed:], p)
}

// oldPacket reads the block that enhanced packets replaced: the interface has 16
// bits, and a drop count the other 16.
func (r *Reader) oldPacket(b []byte, p *Packet) error {
	const fixed = 20
	if len(b) < fixed {
		return fmt.Errorf("%w: a packet block", ErrDamaged)
	}
	return r.stamped(b, uint64(r.order.Uint16(b)), b[fixed:], p)
}

// stamped reads time and lengths, which stand at the same place in both.
func (r *Reader) stamped(b []byte, device uint64, data []byte, p *Packet) error {
	captured := r.order.Uint32(b[12:])
	if device >= uint64(len(r.ng.interfaces)) || uint64(captured) > uint64(len(data)) {
		return fmt.Errorf("%w: a packet block", ErrDamaged)
	}
	d := &r.ng.interfaces[device]
	*p = Packet{
		Time: d.time(uint64(r.order.Uint32(b[4:]))<<32 | uint64(r.order.Uint32(b[8:]))),
		Link: d.link, Device: d.name, Data: data[:captured], Original: int(r.order.Uint32(b[16:])),
	}
	return nil
}

// simplePacket has no time, so that it can be compared with nothing.
func (r *Reader) simplePacket(b []byte, p *Packet) error {
	if len(b) < 4 || len(r.ng.interfaces) == 0 {
		return fmt.Errorf("%w: a packet block", ErrDamaged)
	}
	d := &r.ng.interfaces[0]
	original := r.order.Uint32(b)
	n := uint64(min(original, uint32(len(b)-4)))
	if d.snaplen > 0 {
		n = min(n, uint64(d.snaplen))
	}
	*p = Packet{Link: d.link, Device: d.name, Data: b[4 : 4+n], Original: int(original)}
	return nil
}
