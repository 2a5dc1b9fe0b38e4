package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/droptrace/droptrace/resolve/drop"
)

// lines reads what --output json has written.
type lines struct {
	in     *bufio.Reader
	number int
	buf    []byte
}

// maxLine bounds a record; a stack and many candidates make some 20 KB.
const maxLine = 4 << 20

// read reads lines up to the next drop.
func (l *lines) read(r *Reader, rec *Record) error {
	rec.Lost, rec.Capture, rec.Comment = 0, drop.Capture{}, rec.Comment[:0]
	for {
		line, whole, err := l.next()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue
		}
		var head struct {
			Type        string
			Schema      int
			Lost, Count uint64
		}
		if err := json.Unmarshal(line, &head); err != nil {
			if !whole {
				return ErrCut
			}
			return fmt.Errorf("line %d: %w", l.number, err)
		}
		switch {
		case head.Schema > drop.Schema:
			return fmt.Errorf("line %d: it was written by a newer droptrace", l.number)
		case head.Type == "loss":
			rec.Lost += head.Lost
		case head.Type == "folded":
			r.Folded += head.Count
		case head.Type == "drop":
			rec.Drop = new(drop.Drop)
			if err := json.Unmarshal(line, rec.Drop); err != nil {
				return fmt.Errorf("line %d: %w", l.number, err)
			}
			return nil
		case head.Type == "":
			return fmt.Errorf("line %d: %w", l.number, errNoRecord)
		}
	}
}

var errNoRecord = errors.New("no record of droptrace's")

// next returns a line without its end; whole is false for a last one that has
// none.
func (l *lines) next() (line []byte, whole bool, err error) {
	l.buf = l.buf[:0]
	l.number++
	for {
		part, err := l.in.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		switch {
		case err == nil:
			return bytes.TrimSpace(l.buf), true, nil
		case errors.Is(err, bufio.ErrBufferFull) && len(l.buf) <= maxLine:
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, false, fmt.Errorf("line %d is too long", l.number)
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(l.buf)) > 0:
			return bytes.TrimSpace(l.buf), false, nil
		default:
			return nil, false, err
		}
	}
}
