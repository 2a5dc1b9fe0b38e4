package recording

import (
	"context"
	"errors"
	"time"
)

// Open opens the first file, or standard output where the name is "-". What the
// file holds is kept until Begin. For the reader of a FIFO it waits until ctx ends.
func Open(ctx context.Context, name string, o Options) (*Writer, error) {
	w := &Writer{
		names: naming{name, o.Rotation}, encoder: o.Encoder, reading: o.Reading,
		free: make(chan *chunk, chunks), full: make(chan *chunk, chunks),
		done: make(chan struct{}), stop: make(chan struct{}),
		stall: stall{over: make(chan struct{})},
	}
	if name == "-" {
		w.first = &file{f: o.Stdout, name: "standard output"}
		return w, nil
	}
	var err error
	w.first, err = open(ctx, w.names.name(0, time.Now()), o.Reading)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Begin begins the recording in place of what the file held. Once ctx has ended, a
// pipe that nobody reads any more is given up.
func (w *Writer) Begin(ctx context.Context) error {
	if err := w.first.empty(); err != nil {
		return errors.Join(err, w.first.discard())
	}
	w.ctx = ctx
	w.files.Store(1)
	w.chunk = w.empty()
	w.begin(time.Now())
	go w.run(w.first)
	go w.flushing()
	w.stall.end = context.AfterFunc(ctx, w.giveUp)
	return nil
}

// Discard is for a recording that never began: it takes back what Open did.
func (w *Writer) Discard() error { return w.first.discard() }
