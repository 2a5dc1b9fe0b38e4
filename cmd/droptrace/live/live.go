package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
	"github.com/droptrace/droptrace/resolve/drop"
)

// errUnread is no failure.
var errUnread = errors.New("standard output is not read, so that some drops were not shown")

// How long the end may take while nobody reads standard output.
const (
	stuckLimit = 2 * time.Second  // without a single write of progress
	endLimit   = 10 * time.Second // in all
)

// session is one run of the live command. The reader is the goroutine that
// calls run; the writer is a second one and owns printer and status line.
type session struct {
	o      Options
	t      console.Terminal
	src    source.Source
	q      *queue
	w      *writer
	rec    *Recorder // nil: nothing is recorded
	cancel context.CancelCauseFunc
	start  time.Time

	// The reader's.
	tally output.Tally

	received atomic.Uint64
}

// Reader shows recordings, as the read command does; text is an expression.
type Reader func(c *cli.Context, files []string, text string) error

// liveAction reads the flags and traces until asked to end.
func liveAction(c *cli.Context, t console.Terminal, open source.Opener, read Reader) error {
	if c.Bool("schema") {
		_, err := io.WriteString(t.Stdout, output.Schema())
		return err
	}
	words := c.Args().Slice()
	if c.IsSet("read") {
		return read(c, []string{c.String("read")}, strings.Join(words, " "))
	}
	o, err := ReadOptions(c)
	if err != nil {
		return err
	}
	if o.Cfg.Expression, err = readExpression(words, c.App.Commands); err != nil {
		return err
	}
	return runLive(c.Context, o, t, open)
}

// runLive opens the source and runs a session on it. The duration begins only when
// the probes are attached.
func runLive(ctx context.Context, o Options, t console.Terminal, open source.Opener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	_, isTerminal := console.Width(t.Stdout)
	q := newQueue(isTerminal)
	o.Cfg.Notify = q.notify
	rec, err := NewRecorder(ctx, o.Record, t)
	if err != nil {
		return openFailed(ctx, o, t, q, err)
	}
	src, err := open(ctx, o.Cfg)
	if err != nil {
		return errors.Join(openFailed(ctx, o, t, q, err), rec.abandon())
	}
	if o.duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, o.duration, console.ErrDuration)
		defer stop()
	}
	s := newSession(o, t, src, q, cancel)
	s.rec = rec
	if err := rec.start(ctx, src); err != nil {
		return errors.Join(err, src.Close())
	}
	return s.run(ctx)
}

// newSession is apart from runLive so that benchmarks see its counters.
func newSession(o Options, t console.Terminal, src source.Source, q *queue, cancel context.CancelCauseFunc) *session {
	s := &session{o: o, t: t, src: src, q: q, cancel: cancel, start: time.Now()}
	s.w = newWriter(s)
	return s
}

// openFailed tells first what was noticed on the way.
func openFailed(ctx context.Context, o Options, t console.Terminal, q *queue, err error) error {
	var b batch
	q.take(&b, time.Now())
	for _, n := range b.notices {
		if !o.Quiet {
			console.PrintNotice(t.Stderr, t.Style(t.Stderr), n)
		}
	}
	if errors.Is(context.Cause(ctx), console.ErrSignal) {
		return nil
	}
	return err
}

// run reads until the source ends, then lets the writer finish, detaches and
// closes with the summary.
func (s *session) run(ctx context.Context) error {
	s.heading()
	written := make(chan error, 1)
	go func() { written <- s.w.run() }()
	defer console.OnRequest(s.q.ask)()
	readErr := s.read(ctx)
	s.q.close()
	writeErr := s.await(written)
	recordErr := s.rec.Close(s.src.Stats())
	// The summary may wait for whoever reads standard error: detach first.
	closeErr := s.src.Close()
	if closeErr != nil {
		closeErr = fmt.Errorf("detach: %w", closeErr)
	}
	switch {
	case errors.Is(writeErr, syscall.EPIPE):
		return errors.Join(readErr, recordErr, closeErr) // as with head: enough was read
	case errors.Is(writeErr, errUnread):
		// No failure: less stops reading at its first screen.
		console.PrintMessage(s.t.Stderr, s.t.Style(s.t.Stderr), "note: "+writeErr.Error(), nil)
		writeErr = nil
	}
	s.summary()
	return errors.Join(readErr, writeErr, recordErr, closeErr)
}

// read moves drops from the source to the queue. It waits for nothing else.
func (s *session) read(ctx context.Context) error {
	for {
		d, err := s.src.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read drops: %w", err)
		}
		s.rec.put(s, d)
		s.tally.Add(d)
		s.received.Add(1 + d.Repeats)
		if s.rec.Silent() {
			continue
		}
		if s.q.put(d, time.Now()) {
			runtime.Gosched() // on one CPU the writer would have to wait
		}
	}
}

// await gives the writer the time it takes, as long as somebody reads.
func (s *session) await(written <-chan error) error {
	deadline := time.Now().Add(endLimit)
	for {
		before := s.w.progress.Load()
		select {
		case err := <-written:
			return err
		case <-time.After(stuckLimit):
		}
		if s.w.progress.Load() == before || time.Now().After(deadline) {
			return errUnread
		}
	}
}

// heading says what is traced, and how.
func (s *session) heading() {
	if s.o.Quiet {
		return
	}
	style := s.t.Style(s.t.Stderr)
	facts := append([]string{"tracing drops"}, console.Words(&s.o.Cfg)...)
	if about := s.src.About(); about != "" {
		facts = append(facts, about)
	}
	if _, ok := console.Width(s.t.Stderr); ok {
		facts = append(facts, "Ctrl-C ends")
	}
	_ = output.WriteHeading(s.t.Stderr, style, facts)
}

// Summary prints the closing words. What was received and neither shown nor
// folded was not shown: with that the sum is right however the run ended.
func (s *session) summary() {
	if s.o.Quiet {
		return
	}
	m := output.Summary{
		Counts:  s.src.Stats(),
		Shown:   s.w.shown.Load(),
		Folded:  s.w.folded.Load(),
		Elapsed: time.Since(s.start),
		Tally:   &s.tally,
	}
	m.Recording = s.rec.Summary(s.received.Load())
	if !s.rec.Silent() {
		m.Unshown = s.received.Load() - m.Shown - m.Folded
	}
	if s.received.Load() == 0 {
		m.Hidden, m.Grown = s.src.Hidden(), s.src.Grown()
	}
	m.Arrivals = s.src.Arrivals()
	m.Beside = s.src.Beside()
	m.Lost = s.src.Losses()
	for _, p := range m.Lost.Places {
		s.tally.Lose(p.Drop, p.Count)
	}
	s.w.status.End()
	style := s.t.Style(s.t.Stderr)
	style.OneNetns = len(s.o.Cfg.Filter.Netns) == 1
	_ = m.Write(s.t.Stderr, style)
}

// arrivalsPrinter is a printer that has a record for arrivals.
type arrivalsPrinter interface {
	Arrivals(drop.Arrivals) error
}

// Printer is a format of standard output.
type Printer interface {
	Drop(*drop.Drop) error
	// Folded returns how many of the drops it has printed one by one.
	Folded(output.Folded) (shown uint64, err error)
	Loss(output.Loss) error
	Notice(drop.Notice) error
	SetWidth(columns int)
	Flush() error
}
