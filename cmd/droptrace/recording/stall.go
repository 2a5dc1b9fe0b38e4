package recording

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// stallLimit is how long, after the end was asked for, the reader of a pipe may
// take for its next piece.
const stallLimit = 2 * time.Second

// errStalled says that the reader of a pipe has stopped reading, but not gone.
var errStalled = errors.New("its reader has stopped reading; the rest is lost")

// stall notices that a pipe is not read. A file has no reader to wait for: its disk
// is slow, and is waited for.
type stall struct {
	end     func() bool // keeps giveUp from being called
	over    chan struct{}
	waiting atomic.Bool // a piece is being written to a pipe
	pieces  atomic.Uint64
}

func (s *stall) busy(on bool) { s.waiting.Store(on) }
func (s *stall) progress()    { s.pieces.Add(1) }

// giveUp runs once the end was asked for, until the recording is closed or stalls.
func (w *Writer) giveUp() {
	for {
		before, waiting := w.stall.pieces.Load(), w.stall.waiting.Load()
		select {
		case <-w.done:
			return
		case <-time.After(stallLimit):
		}
		if waiting && w.stall.waiting.Load() && w.stall.pieces.Load() == before {
			w.fail(fmt.Errorf("write %s: %w", w.names.pattern, errStalled))
			close(w.stall.over)
			return
		}
	}
}
