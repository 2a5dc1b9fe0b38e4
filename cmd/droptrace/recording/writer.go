package recording

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// flushEvery bounds how long a drop is kept from whoever reads along.
const flushEvery = 100 * time.Millisecond

var (
	// ErrFiles says that as many files were written as -W and -G ask for.
	ErrFiles = errors.New("all files are written")
	// ErrRead says that a file would be written while it is being read.
	ErrRead = errors.New("also what is read")
)

// Options of a Writer.
type Options struct {
	Encoder
	Rotation
	Stdout *os.File // what "-" means
	// Reading are files that must not be written to: ErrRead says that one would be.
	Reading []os.FileInfo
}

// Writer records drops: Write encodes them where it is called, a goroutine writes
// them out. Open, Begin, Write, Close; or Open, Discard.
type Writer struct {
	names   naming
	encoder Encoder
	reading []os.FileInfo
	first   *file
	ctx     context.Context // of Begin
	lost    atomic.Pointer[func() uint64]

	written atomic.Uint64 // drops on their way, less those of failed writes
	stood   atomic.Uint64 // how many they stand for
	files   atomic.Uint64
	seen    atomic.Uint64 // losses, as last asked for

	mu     sync.Mutex
	chunk  *chunk
	made   int    // chunks so far
	told   uint64 // losses that are in the recording
	size   int64  // of the file, with what waits
	number int
	next   time.Time // when the next file is due
	ended  bool      // no file may follow
	closed bool

	free chan *chunk
	full chan *chunk
	done chan struct{} // the writing goroutine is at its end
	stop chan struct{} // ends the flushing one
	err  atomic.Pointer[error]

	stall stall
}

// begin puts the section header in front; the caller holds the lock, or nobody
// else knows w.
func (w *Writer) begin(now time.Time) {
	w.chunk.data = w.encoder.Begin(w.chunk.data, now)
	w.size = int64(len(w.chunk.data))
	if w.names.Every > 0 {
		w.next = now.Add(w.names.Every)
	}
}

// Write records one drop. c, which may be nil, is used only until it returns. The
// error is that of an earlier drop's writing, or ErrFiles.
func (w *Writer) Write(d *drop.Drop, c *drop.Capture) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.failed(); err != nil {
		return err
	}
	if err := w.rotate(); err != nil {
		return err
	}
	lost := w.seen.Load()
	before := len(w.chunk.data)
	data, err := w.encoder.Drop(w.chunk.data, d, c, lost-w.told)
	w.chunk.data = data
	w.size += int64(len(data) - before)
	if err != nil {
		return err
	}
	w.told = lost
	w.chunk.stands = append(w.chunk.stands, 1+d.Repeats)
	if len(data) >= chunkSize {
		w.send()
	}
	return nil
}

// rotate begins another file where one is due.
func (w *Writer) rotate() error {
	if w.ended {
		return ErrFiles
	}
	bySize := w.names.Size > 0 && w.size > w.names.Size
	byTime := false
	var now time.Time
	if w.names.Every > 0 {
		now = time.Now()
		byTime = !now.Before(w.next)
	}
	if !bySize && !byTime {
		return nil
	}
	switch {
	case byTime:
		// As tcpdump: with -G alone, -W ends the run.
		if w.names.Size <= 0 && w.names.Files > 0 && int(w.files.Load()) >= w.names.Files {
			w.ended = true
			return ErrFiles
		}
		w.number = 0
	case w.names.Files > 0 && w.names.Every <= 0:
		w.number = (w.number + 1) % w.names.Files
	default:
		w.number++
	}
	if now.IsZero() {
		now = time.Now()
	}
	w.files.Add(1)
	w.send()
	w.chunk.open = w.names.name(w.number, now)
	next := w.next
	w.begin(now)
	if !byTime {
		w.next = next
	}
	return nil
}

// run writes chunks until there are no more.
func (w *Writer) run(out *file) {
	defer close(w.done)
	for c := range w.full {
		out = w.put(out, c)
		c.open, c.data, c.stands = "", c.data[:0], c.stands[:0]
		select {
		case w.free <- c:
		default: // more were made once a reader was given up
		}
	}
	if out != nil {
		if err := out.close(); err != nil {
			w.fail(fmt.Errorf("write %s: %w", out.name, err))
		}
	}
}

// put writes one chunk; after a failure nothing more is written.
func (w *Writer) put(out *file, c *chunk) *file {
	if w.failed() != nil {
		return out
	}
	w.stall.busy(!out.regular)
	defer w.stall.busy(false)
	if c.open != "" {
		err := out.close()
		name := out.name
		if out, err = w.openNext(c.open, name, err); err != nil {
			w.fail(err)
			return nil
		}
	}
	before := out.size
	err := out.write(c.data, w.stall.progress)
	if err != nil {
		w.fail(fmt.Errorf("write %s: %w", out.name, unwrapPath(err)))
	}
	w.count(c, int(out.size-before))
	return out
}

// count takes in the drops of a chunk of which so many bytes are in the file.
func (w *Writer) count(c *chunk, length int) {
	for _, stands := range c.stands[:packets(c.data[:length])] {
		w.written.Add(1)
		w.stood.Add(stands)
	}
}

// openNext opens a file unless closing the one before has failed.
func (w *Writer) openNext(name, before string, closeErr error) (*file, error) {
	if closeErr != nil {
		return nil, fmt.Errorf("write %s: %w", before, unwrapPath(closeErr))
	}
	next, err := open(w.ctx, name, w.reading)
	if err != nil {
		return nil, err
	}
	if err := next.empty(); err != nil {
		return nil, errors.Join(err, next.close())
	}
	return next, nil
}

// unwrapPath leaves the name out that the message has already.
func unwrapPath(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
}

func (w *Writer) fail(err error) { w.err.CompareAndSwap(nil, &err) }

func (w *Writer) failed() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// flushing sends what waits, and learns of losses.
func (w *Writer) flushing() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		w.askLost()
		w.mu.Lock()
		if len(w.chunk.data) > 0 && !w.closed {
			w.send()
		}
		w.mu.Unlock()
	}
}

func (w *Writer) askLost() {
	if lost := w.lost.Load(); lost != nil {
		w.seen.Store(max((*lost)(), w.seen.Load()))
	}
}

// CountLosses has the recording tell the losses of the run: lost returns how many
// there were since its start, and is called from another goroutine.
func (w *Writer) CountLosses(lost func() uint64) { w.lost.Store(&lost) }

// AddLost tells of losses before the next drop, where they are known from another
// recording.
func (w *Writer) AddLost(n uint64) { w.seen.Add(n) }

// Written returns how many drops have reached a file, how many they stand for
// (1+Repeats each), and how many files there were.
func (w *Writer) Written() (drops, stood, files uint64) {
	return w.written.Load(), w.stood.Load(), w.files.Load()
}

// Failed returns the error of the writing goroutine, if it had one yet.
func (w *Writer) Failed() error { return w.failed() }

// Close writes the rest with the counters of the run, and waits for it. The error
// is the first that came.
func (w *Writer) Close(counts drop.Counts) error {
	w.stall.end()
	close(w.stop)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	data, err := w.encoder.End(w.chunk.data, counts, time.Now())
	w.chunk.data = data
	w.send()
	close(w.full)
	select {
	case <-w.done:
	case <-w.stall.over:
	}
	return errors.Join(w.failed(), err)
}
