// Package capture reads the packets of pcap and pcapng files, whoever wrote them,
// from front to back and in bounded memory.
package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Packet is one captured packet.
type Packet struct {
	Time     time.Time
	Link     LinkType
	Data     []byte // valid until the next Read
	Original int    // bytes that it had
	Device   string // "" where the file does not tell
}

// Reader reads one file.
type Reader struct {
	in     *bufio.Reader
	buf    []byte
	order  binary.ByteOrder
	read   func(*Packet) error
	ng     pcapng
	unit   time.Duration // of pcap's fractions of a second
	link   LinkType      // of a pcap file
	header int           // bytes before each packet of a pcap file
}

// Errors of a file that cannot be read, or not to its end.
var (
	ErrFormat  = errors.New("is no capture: neither pcap nor pcapng")
	ErrEmpty   = errors.New("is empty")
	ErrCut     = errors.New("ends in the middle of a packet")
	ErrDamaged = errors.New("is damaged")
)

// maxPacket is libpcap's largest snaplen, but for those of D-Bus and USB.
const maxPacket = 1 << 20

// NewReader looks at what r begins with.
func NewReader(r io.Reader) (*Reader, error) {
	rd := &Reader{in: bufio.NewReaderSize(r, 64<<10)}
	magic, err := rd.in.Peek(4)
	switch {
	case len(magic) == 0 && errors.Is(err, io.EOF):
		return nil, ErrEmpty
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(magic) < 4:
		return nil, ErrFormat
	}
	rd.order = binary.LittleEndian
	for range 2 {
		switch rd.order.Uint32(magic) {
		case 0xa1b2c3d4:
			return rd, rd.pcap(time.Microsecond, 16)
		case 0xa1b23c4d:
			return rd, rd.pcap(time.Nanosecond, 16)
		case 0xa1b2cd34: // Alexey Kuznetzov's
			return rd, rd.pcap(time.Microsecond, 24)
		case blockSection:
			rd.read = rd.readNG
			return rd, nil
		}
		rd.order = binary.BigEndian
	}
	return nil, ErrFormat
}

// Read reads the next packet. The error is io.EOF at the end, ErrCut or ErrDamaged
// where all before it was read.
func (r *Reader) Read(p *Packet) error { return r.read(p) }

// pcap reads the file's header.
func (r *Reader) pcap(unit time.Duration, header int) error {
	const length, version = 24, 2
	b, err := r.take(length)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if major := r.order.Uint16(b[4:]); major != version {
		return fmt.Errorf("%w: version %d of the pcap format is not known", ErrDamaged, major)
	}
	// The upper bits tell of a frame check sequence.
	r.link = LinkType(r.order.Uint32(b[20:]) & 0xffff)
	r.unit, r.header, r.read = unit, header, r.readPcap
	return nil
}

func (r *Reader) readPcap(p *Packet) error {
	b, err := r.take(r.header)
	if err != nil {
		return err
	}
	seconds, fraction := r.order.Uint32(b), r.order.Uint32(b[4:])
	captured, original := r.order.Uint32(b[8:]), r.order.Uint32(b[12:])
	if captured > maxPacket {
		return fmt.Errorf("%w: a packet of %d bytes", ErrDamaged, captured)
	}
	data, err := r.take(int(captured))
	if err != nil {
		return within(err)
	}
	*p = Packet{
		Time: time.Unix(int64(seconds), int64(fraction)*int64(r.unit)),
		Link: r.link, Data: data, Original: int(original),
	}
	return nil
}

// take reads so many bytes: io.EOF where there is none at all, ErrCut where there
// are too few.
func (r *Reader) take(n int) ([]byte, error) {
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 4<<10))
	}
	b := r.buf[:n]
	_, err := io.ReadFull(r.in, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = ErrCut
	}
	return b, err
}

// within: inside a packet, no end is expected.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrCut
	}
	return err
}
