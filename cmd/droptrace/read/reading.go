package read

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/live"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/cmd/droptrace/recording"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/filter"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// reading is one run of the read command. Unlike a live session it may wait for
// whoever reads its output, so that nothing is folded.
type reading struct {
	o      live.Options
	t      console.Terminal
	filter *filter.Filter
	rec    *live.Recorder
	out    live.Printer

	expression *expression.Program // nil for none

	tally       output.Tally
	counts      drop.Counts
	shown       uint64
	repeats     uint64 // that stand in what was shown
	written     uint64
	lost        uint64 // told so far
	first, last time.Time
	begun       bool // there is something to sum up
}

func newReading(o live.Options, t console.Terminal, f *filter.Filter, rec *live.Recorder) *reading {
	r := &reading{o: o, t: t, filter: f, rec: rec}
	r.out = live.NewPrinter(t.Stdout, o, t)
	return r
}

var errEnough = errors.New("enough drops were shown")

func (r *reading) run(ctx context.Context, files []string) error {
	var err error
	for _, name := range files {
		if err = r.file(ctx, name, files); err != nil {
			break
		}
	}
	if flushErr := r.out.Flush(); flushErr != nil && err == nil {
		err = fmt.Errorf("write to standard output: %w", flushErr)
	}
	err = errors.Join(notEnough(err), r.rec.Close(r.counts))
	if errors.Is(err, syscall.EPIPE) {
		return nil // as with head
	}
	if r.begun {
		r.summary()
	}
	return err
}

// notEnough leaves out what ends a run as it was asked to.
func notEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// file reads one recording, of all these, to its end.
func (r *reading) file(ctx context.Context, name string, all []string) error {
	in, err := console.OpenInput(name, r.t)
	if err != nil {
		return err
	}
	defer in.Close()
	rd, err := recording.NewReader(in)
	if err != nil {
		return console.Unreadable(name, err, 0)
	}
	if !r.begun {
		r.begun = true
		r.heading(all)
		if err := r.rec.Begin(ctx); err != nil {
			return err
		}
	}
	var rec recording.Record
	drops := uint64(0)
	for ; ; drops++ {
		if drops%256 == 0 && ctx.Err() != nil {
			return notSignal(ctx, context.Cause(ctx))
		}
		err := rd.Read(&rec)
		if lossErr := r.loss(rec.Lost, &rec); lossErr != nil {
			return lossErr
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return console.Unreadable(name, err, drops)
		}
		if err := r.drop(&rec); err != nil {
			return err
		}
	}
	return r.end(name, rd)
}

// end tells what the recording has besides its drops.
func (r *reading) end(name string, rd *recording.Reader) error {
	if c, ok := rd.Counts(); ok && c.Lost > r.lost {
		if err := r.loss(c.Lost-r.lost, nil); err != nil {
			return err
		}
	}
	r.lost = 0 // the next file is another run's
	if rd.Folded > 0 && !r.o.Quiet {
		console.PrintMessage(r.t.Stderr, r.t.Style(r.t.Stderr), fmt.Sprintf("note: %s holds %d more drops only as counts, which no filter can tell apart", name, rd.Folded), nil)
	}
	return nil
}

// notSignal: being told to end is no failure.
func notSignal(ctx context.Context, err error) error {
	if !errors.Is(context.Cause(ctx), console.ErrSignal) {
		return err
	}
	return errEnough
}

// loss tells of drops that the recording misses.
func (r *reading) loss(n uint64, rec *recording.Record) error {
	if n == 0 {
		return nil
	}
	r.lost += n
	r.counts.Lost += n
	r.counts.Seen += n
	at := r.last
	if rec != nil {
		rec.Lost = 0
		if rec.Drop != nil {
			at = rec.Drop.Time
		}
	}
	if r.rec != nil {
		r.rec.W.AddLost(n)
		if r.rec.Silent() {
			return nil
		}
	}
	return r.wrote(r.out.Loss(output.Loss{Time: at, Lost: n, Total: r.counts.Lost}))
}

// drop takes in one drop of the recording.
func (r *reading) drop(rec *recording.Record) error {
	d := rec.Drop
	n := 1 + d.Repeats
	r.counts.Seen += n
	r.counts.Delivered += n
	if r.first.IsZero() {
		r.first = d.Time
	}
	r.last = d.Time
	if !drop.MatchDrop(r.filter, d, rec.Capture.Device.Name) || !r.expressionMatches(&rec.Capture, n) {
		r.counts.FilteredUser += n
		return nil
	}
	if r.o.Limit > 0 && max(r.shown, r.written) >= r.o.Limit {
		r.counts.Seen -= n
		r.counts.Delivered -= n
		return errEnough
	}
	r.tally.Add(d)
	if r.rec != nil {
		if err := r.rec.W.Write(d, &rec.Capture); err != nil {
			return r.rotated(err)
		}
		r.written++
	}
	if r.rec.Silent() {
		return nil
	}
	r.shown++
	r.repeats += d.Repeats
	if columns, ok := console.Width(r.t.Stdout); ok {
		r.out.SetWidth(columns)
	}
	return r.wrote(r.out.Drop(d))
}

// expressionMatches counts what cannot be judged: a recording in JSON has no bytes.
func (r *reading) expressionMatches(c *drop.Capture, n uint64) bool {
	if r.expression == nil {
		return true
	}
	frame, length := ethernetFrame(c, r.expression.Tags())
	verdict, err := r.expression.Frame(frame, length)
	if err != nil || verdict == expression.Undecided || len(c.Data) == 0 {
		r.counts.Undecided += n
	}
	return err == nil && verdict == expression.Yes && len(c.Data) > 0
}

// rotated: to have written all the files that were asked for is no failure.
func (r *reading) rotated(err error) error {
	if errors.Is(err, recording.ErrFiles) || r.rec.Failed() {
		return errEnough // a failure is told when the recording is closed
	}
	return err
}

func (r *reading) wrote(err error) error {
	if err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

func (r *reading) heading(files []string) {
	if r.o.Quiet {
		return
	}
	facts := append([]string{"reading " + strings.Join(files, ", ")}, console.Words(&r.o.Cfg)...)
	_ = output.WriteHeading(r.t.Stderr, r.t.Style(r.t.Stderr), facts)
}

func (r *reading) summary() {
	if r.o.Quiet {
		return
	}
	m := output.Summary{
		Counts: r.counts, Shown: r.shown, Folded: r.repeats, Recorded: true,
		Elapsed: r.last.Sub(r.first), Tally: &r.tally,
		Recording: r.rec.Summary(r.counts.Delivered - r.counts.FilteredUser),
	}
	_ = m.Write(r.t.Stderr, r.t.Style(r.t.Stderr))
}
