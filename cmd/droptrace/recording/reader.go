package recording

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Record is one drop of a recording.
type Record struct {
	Drop *drop.Drop
	// Capture holds the packet's bytes, none where the recording is JSON. They
	// are valid until the next Read.
	Capture drop.Capture
	Lost    uint64 // drops lost before this one and after the one before
	Comment []byte // as other programs show it; none where the recording is JSON
}

// Reader reads a recording from its beginning to its end, in bounded memory.
type Reader struct {
	in     *bufio.Reader
	buf    []byte
	offset int64 // of what is read next
	json   *lines
	pcapng decoder

	// Folded counts drops that the recording holds only as a number.
	Folded uint64
}

// maxBlock bounds a block: the largest packet, and a verdict with a long rule.
const maxBlock = 4 << 20

// ForeignError is a file that is no recording of droptrace's.
type ForeignError struct {
	Format          string // "" where it is not known either
	Writer, Comment string // of a pcapng file
}

func (e *ForeignError) Error() string {
	switch {
	case e.Format == "":
		return "is no recording"
	case e.Writer != "":
		return "is a " + e.Format + " file written by " + e.Writer + ", not a recording by droptrace"
	}
	return "is a " + e.Format + " file, not a recording by droptrace"
}

// ErrEmpty is a file with nothing in it.
var ErrEmpty = errors.New("is empty")

// ErrCut is a recording that ends inside a record: all before it was read.
var ErrCut = errors.New("ends in the middle of a record")

// NewReader looks at what r begins with. The error is a *ForeignError for another
// format, which it names, and ErrEmpty for no data at all.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(4)
	if len(head) < 4 && err != nil {
		switch {
		case !errors.Is(err, io.EOF):
			return nil, err
		case len(head) == 0:
			return nil, ErrEmpty
		}
		return nil, &ForeignError{}
	}
	rd := &Reader{in: in}
	switch format := formatOf(head); format {
	case "pcapng":
		return rd, rd.first()
	case "JSON":
		rd.json = &lines{in: in}
		return rd, nil
	default:
		return nil, &ForeignError{Format: format}
	}
}

// formatOf goes by the first four bytes.
func formatOf(head []byte) string {
	switch n := order.Uint32(head); n {
	case blockSection:
		return "pcapng"
	case 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1:
		return "pcap"
	case 0xa1b2cd34, 0x34cdb2a1:
		return "modified pcap"
	}
	switch {
	case head[0] == '{':
		return "JSON"
	case head[0] == 0x1f && head[1] == 0x8b:
		return "gzip"
	case string(head) == "\x28\xb5\x2f\xfd":
		return "zstd"
	}
	return ""
}

// first reads the section header, so that a foreign file is known at once.
func (r *Reader) first() error {
	magic, err := r.in.Peek(blockOverhead)
	if err == nil && order.Uint32(magic[8:]) != byteOrderMagic {
		return &ForeignError{Format: "pcapng"} // ours are little endian
	}
	kind, body, err := r.block()
	if err != nil {
		return err
	}
	return r.handle(kind, body, nil)
}

// Read reads the next drop into rec. The error is io.EOF at the end, ErrCut where
// the file was cut; any other tells what is damaged, and nothing more can be read.
func (r *Reader) Read(rec *Record) error {
	if r.json != nil {
		return r.json.read(r, rec)
	}
	for {
		at := r.offset
		kind, body, err := r.block()
		if err != nil {
			return err
		}
		if err := r.handle(kind, body, rec); err != nil {
			return fmt.Errorf("at byte %d: %w", at, err)
		}
		if kind == blockPacket {
			return nil
		}
	}
}

// handle takes in one block; of kinds that it does not know nothing is needed.
func (r *Reader) handle(kind uint32, body []byte, rec *Record) error {
	switch kind {
	case blockSection:
		return r.pcapng.section(body)
	case blockInterface:
		return r.pcapng.device(body)
	case blockVerdict:
		return r.pcapng.verdict(body)
	case blockPacket:
		return r.pcapng.packet(body, rec)
	case blockCounts:
		return r.pcapng.end(body)
	}
	return nil
}

// block reads a whole block; the body is valid until the next.
func (r *Reader) block() (kind uint32, body []byte, err error) {
	const head = 8
	start, err := r.in.Peek(head)
	switch {
	case len(start) == 0 && errors.Is(err, io.EOF):
		return 0, nil, io.EOF
	case errors.Is(err, io.EOF):
		return 0, nil, ErrCut
	case err != nil:
		return 0, nil, err
	}
	kind, n := order.Uint32(start), order.Uint32(start[4:])
	if n < blockOverhead || n%4 != 0 || n > maxBlock {
		return 0, nil, fmt.Errorf("at byte %d: %w", r.offset, errBlock)
	}
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, max(int(n), 64<<10))
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, ErrCut
		}
		return 0, nil, err
	}
	if order.Uint32(b[n-4:]) != n {
		return 0, nil, fmt.Errorf("at byte %d: %w", r.offset, errBlock)
	}
	r.offset += int64(n)
	return kind, b[head : n-4], nil
}

// Counts returns the counters that the recorded run ended with; ok is false where
// it did not end by itself, or the end was not read yet.
func (r *Reader) Counts() (c drop.Counts, ok bool) {
	if r.pcapng.ending == nil {
		return c, false
	}
	return r.pcapng.ending.Counts, true
}

// Span returns since when and until when drops were recorded; zero times are not
// known. The end is known only once it was read.
func (r *Reader) Span() (from, to time.Time) {
	if r.pcapng.ending != nil {
		to = r.pcapng.ending.Ended
	}
	return r.pcapng.started, to
}
