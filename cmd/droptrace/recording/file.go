package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/outfile"
)

// Rotation says when another file begins, as tcpdump's -C, -G and -W do.
type Rotation struct {
	Size  int64         // -C: a file larger than this is the last to grow; 0: never
	Every time.Duration // -G; 0: never
	Files int           // -W; 0: no limit
}

// Naming of the files, from -w FILE and the rotation.
type naming struct {
	pattern string
	Rotation
}

// name returns the name of the file with this number, begun at that time. tcpdump
// gives the first file no number, unless -W says how many digits all have.
func (n naming) name(number int, at time.Time) string {
	name := n.pattern
	if n.Every > 0 {
		name = strftime(name, at)
	}
	if n.Size <= 0 {
		return name
	}
	if n.Files > 0 {
		digits := len(fmt.Sprint(n.Files - 1))
		return fmt.Sprintf("%s%0*d", name, digits, number)
	}
	if number == 0 {
		return name
	}
	return fmt.Sprintf("%s%d", name, number)
}

// file is what the blocks are written to.
type file struct {
	f       io.Writer
	own     *outfile.File // nil for standard output, which is not ours to close
	name    string
	regular bool
	size    int64 // whole blocks written
}

// open opens a recording, unless it is one of those that are being read.
func open(ctx context.Context, name string, reading []os.FileInfo) (*file, error) {
	f, err := outfile.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	isIt := func(other os.FileInfo) bool { return f.Regular && os.SameFile(info, other) }
	if slices.ContainsFunc(reading, isIt) {
		return nil, errors.Join(fmt.Errorf("%s is %w", name, ErrRead), f.Close())
	}
	return &file{f: f, own: f, name: name, regular: f.Regular}, nil
}

// empty begins the recording: what the file held before is gone.
func (o *file) empty() error {
	if o.own == nil {
		return nil
	}
	return o.own.Empty()
}

// discard takes back what open did.
func (o *file) discard() error {
	if o.own == nil {
		return nil
	}
	return o.own.Discard()
}

// pieceSize is what goes at once to a pipe, whose buffer it fills: each is progress.
const pieceSize = 64 << 10

// write writes whole blocks, and calls progress now and then. Where only a part
// could be written, the file is cut back to the last whole one.
func (o *file) write(blocks []byte, progress func()) error {
	n, err := o.writePieces(blocks, progress)
	if err == nil {
		o.size += int64(n)
		return nil
	}
	o.size += int64(wholeBlocks(blocks[:n]))
	if o.regular {
		if cut := o.own.Truncate(o.size); cut != nil {
			err = errors.Join(err, cut)
		}
	}
	err = unwrapPath(err)
	if !o.regular {
		return err
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w; what was written until then can be read", err)
	}
	return err
}

func (o *file) writePieces(b []byte, progress func()) (n int, err error) {
	if o.regular {
		return o.f.Write(b)
	}
	for piece := range slices.Chunk(b, pieceSize) {
		m, err := o.f.Write(piece)
		n += m
		if err != nil {
			return n, err
		}
		progress()
	}
	return n, nil
}

func (o *file) close() error {
	if o.own == nil {
		return nil
	}
	return o.own.Close()
}

// wholeBlocks returns how many bytes of b are blocks that are all there.
func wholeBlocks(b []byte) int {
	n := 0
	for len(b)-n >= blockOverhead {
		length := int(order.Uint32(b[n+4:]))
		if length < blockOverhead || length > len(b)-n {
			break
		}
		n += length
	}
	return n
}

// packets returns how many of these blocks are packets.
func packets(b []byte) int {
	n := 0
	for len(b) > 0 {
		if order.Uint32(b) == blockPacket {
			n++
		}
		b = b[order.Uint32(b[4:]):]
	}
	return n
}
