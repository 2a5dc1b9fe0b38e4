package recording

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
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
	f       *os.File
	name    string
	regular bool
	lent    bool  // not ours to close
	size    int64 // whole blocks written
}

// create opens a recording that only its owner can read, for it holds what others
// have sent. A device or FIFO is taken as it is.
func create(name string) (*file, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	out := &file{f: f, name: name}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		out.regular = true
		if info.Mode().Perm()&0o077 != 0 {
			err = f.Chmod(0o600) // it was there before
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return out, nil
}

// write writes whole blocks. Where only a part could be written, the file is cut
// back to the last whole one.
func (o *file) write(blocks []byte) error {
	n, err := o.f.Write(blocks)
	if err == nil {
		o.size += int64(n)
		return nil
	}
	o.size += int64(wholeBlocks(blocks[:n]))
	if o.regular {
		if cut := o.f.Truncate(o.size); cut != nil {
			err = errors.Join(err, cut)
		}
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w; what was written until then can be read", err)
	}
	return err
}

func (o *file) close() error {
	if o.lent {
		return nil
	}
	return o.f.Close()
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
