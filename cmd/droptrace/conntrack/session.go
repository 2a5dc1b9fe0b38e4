package conntrack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
)

// conntrackPrinter is a format of standard output.
type conntrackPrinter interface {
	Failure(*drop.ConntrackFailure) error
	Sample(*drop.ConntrackSample) error
	Notice(drop.Notice) error
	Loss(output.Loss) error
	Flush() error
}

// conntrackSession is one run. The reader of failures is a goroutine of its own;
// all else belongs to the one that calls run.
type conntrackSession struct {
	o       conntrackOptions
	t       console.Terminal
	src     source.Failures
	sampler *resolve.Sampler
	fold    *failureFold
	notices *noticeList
	cancel  context.CancelCauseFunc
	start   time.Time

	out    conntrackPrinter // nil where a board stands instead
	screen *output.Screen
	tally  failureTally
	shown  uint64
	lost   uint64
	missed uint64 // runs that the kernel skipped

	last, fills map[uint32]*drop.ConntrackSample
}

func newConntrackSession(ctx context.Context, o conntrackOptions, t console.Terminal, src source.Failures,
	cancel context.CancelCauseFunc, notices *noticeList,
) (*conntrackSession, error) {
	s := &conntrackSession{
		o: o, t: t, src: src, fold: newFailureFold(), notices: notices, cancel: cancel, start: time.Now(),
		last: make(map[uint32]*drop.ConntrackSample), fills: make(map[uint32]*drop.ConntrackSample),
	}
	s.tally = newFailureTally()
	var err error
	if s.sampler, err = newSampler(ctx, o, src.Ctnetlink()); err != nil {
		return nil, err
	}
	_, wide := console.Width(t.Stdout)
	switch {
	case o.format == "json":
		s.out = output.NewJSON(t.Stdout)
	case wide && !o.list && !t.Dumb():
		s.screen = output.NewScreen(t.Stdout)
	default:
		style := t.Style(t.Stdout)
		style.OneNetns = len(o.cfg.Filter.Netns) == 1
		s.out = output.NewText(t.Stdout, style, t.Zone)
	}
	return s, nil
}

func newSampler(ctx context.Context, o conntrackOptions, ctnetlink bool) (*resolve.Sampler, error) {
	asked, err := console.ParseNamespaces(ctx, o.cfg.Filter.Netns)
	if err != nil {
		return nil, console.BadUsage(err)
	}
	return &resolve.Sampler{
		Only: asked, Ctnetlink: ctnetlink, FillSize: topRows,
		Fill: func(t drop.ConntrackTable) bool { return o.top || t.Max > 0 && t.Count*10 >= t.Max*9 },
	}, nil
}

func (s *conntrackSession) run(ctx context.Context) error {
	defer s.sampler.Close()
	s.heading()
	read := make(chan error, 1)
	go func() {
		defer s.fold.close()
		read <- s.read(ctx)
	}()
	err := s.loop(ctx)
	if err != nil {
		s.cancel(err)
	}
	readErr := <-read
	closeErr := s.src.Close()
	if errors.Is(err, syscall.EPIPE) {
		return errors.Join(readErr, closeErr) // as with head: enough was read
	}
	s.summary()
	return errors.Join(readErr, err, closeErr)
}

// read moves failures from the source to the fold.
func (s *conntrackSession) read(ctx context.Context) error {
	for {
		f, err := s.src.NextFailure(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read conntrack failures: %w", err)
		}
		s.fold.put(f)
	}
}

// loop prints until the source has ended.
func (s *conntrackSession) loop(ctx context.Context) error {
	tick := time.NewTicker(s.o.interval)
	defer tick.Stop()
	if err := s.sample(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-s.fold.wake:
			list, last := s.fold.take()
			if err := s.print(list); err != nil {
				return fmt.Errorf("write to standard output: %w", err)
			}
			if last {
				// What the counters say when no packet is under way any more.
				if err := s.sample(context.WithoutCancel(ctx)); err != nil {
					return err
				}
				return s.losses()
			}
		case <-tick.C:
			if ctx.Err() != nil {
				continue // what is in the buffer still comes
			}
			s.notices.print()
			err := errors.Join(s.sample(ctx), s.losses())
			if err == nil && s.screen == nil && console.HungUp(s.t.Stdout) {
				err = syscall.EPIPE
			}
			if err != nil {
				return err
			}
		}
	}
}

func (s *conntrackSession) print(list []*drop.ConntrackFailure) error {
	for _, f := range list {
		if s.o.limit > 0 && s.shown >= s.o.limit {
			s.cancel(console.ErrLimit)
			break
		}
		s.shown++
		s.tally.add(f)
		if s.out != nil {
			if err := s.out.Failure(f); err != nil {
				return err
			}
		}
	}
	if s.o.limit > 0 && s.shown >= s.o.limit {
		s.cancel(console.ErrLimit)
	}
	if s.out == nil {
		return nil
	}
	return s.out.Flush()
}

// sample reads all tables and shows what they say.
func (s *conntrackSession) sample(ctx context.Context) error {
	list, err := s.sampler.Sample(ctx)
	if errors.Is(err, table.ErrNoConntrack) || ctx.Err() != nil {
		err = nil // it may be loaded later
	}
	if err != nil {
		return err
	}
	for _, sample := range list {
		s.last[sample.Netns.Inode] = sample
		if sample.Fill != nil {
			s.fills[sample.Netns.Inode] = sample
		} else if !s.o.top && !output.NearlyFull(sample) {
			delete(s.fills, sample.Netns.Inode)
		}
		if s.out != nil {
			if err := s.out.Sample(sample); err != nil {
				return fmt.Errorf("write to standard output: %w", err)
			}
		}
	}
	if s.out != nil {
		if err := s.out.Flush(); err != nil {
			return fmt.Errorf("write to standard output: %w", err)
		}
		return nil
	}
	return s.draw(list)
}

func (s *conntrackSession) draw(list []*drop.ConntrackSample) error {
	style := s.t.Style(s.t.Stdout)
	b := output.Board{
		Samples: list, PerSecond: true, Tops: s.tally.lists(),
		Heading: style.Join(append(s.facts(), "per second")),
		Counts:  s.counts(style, time.Second),
	}
	for _, sample := range list {
		if f := s.fills[sample.Netns.Inode]; f != nil {
			b.Fills = append(b.Fills, f)
		}
	}
	if err := s.screen.Draw(b.Lines(style), console.Rows(s.t.Stdout)); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// losses tells in the stream what was lost since it last did.
func (s *conntrackSession) losses() error {
	lost, missed := s.src.FailuresLost()
	s.missed = missed
	if lost <= s.lost {
		return nil
	}
	l := output.Loss{Time: time.Now(), Lost: lost - s.lost, Total: lost}
	s.lost = lost
	if s.out == nil {
		return nil
	}
	return errors.Join(s.out.Loss(l), s.out.Flush())
}

func (s *conntrackSession) facts() []string {
	facts := append([]string{"tracing conntrack failures"}, console.FilterWords(&s.o.cfg.Filter)...)
	if about := s.src.About(); about != "" {
		facts = append(facts, about)
	}
	return facts
}

func (s *conntrackSession) heading() {
	if s.o.quiet || s.screen != nil {
		return
	}
	_ = output.WriteHeading(s.t.Stderr, s.t.Style(s.t.Stderr), s.facts())
}
