package live

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/drop"
)

// statusEvery is how often the status line, losses and a reader that went away
// are looked after.
const statusEvery = time.Second

// writer prints what the queue holds. It runs in a goroutine of its own, since
// whoever reads standard output may stop for a while.
type writer struct {
	// Read by others while it runs.
	progress, shown, folded atomic.Uint64

	s      *session
	out    Printer
	status *output.Status
	wide   *os.File // standard output, where it is a terminal

	pendingShown, pendingFolded uint64 // printed, not yet flushed
	lost                        uint64 // told so far
	lostPlaces                  map[*drop.Drop]uint64
	busy                        bool // something was printed since the last tick
}

// newWriter decides by the streams what is printed, and how.
func newWriter(s *session) *writer {
	w := &writer{s: s}
	t := s.t
	if _, ok := console.Width(t.Stdout); ok {
		w.wide = t.Stdout
	}
	w.out = NewPrinter(w, s.o, t)
	if _, ok := console.Width(t.Stderr); ok && !s.o.Quiet && !t.Dumb() {
		w.status = output.NewStatus(t.Stderr, t.Style(t.Stderr))
	}
	return w
}

// NewPrinter prints in the format that was asked for.
func NewPrinter(w io.Writer, o Options, t console.Terminal) Printer {
	switch o.Format {
	case "json":
		return output.NewJSON(w)
	case "tcpdump":
		return output.NewTcpdump(w, t.Style(t.Stdout), t.Zone, o.stamp)
	}
	style := t.Style(t.Stdout)
	style.OneNetns = len(o.Cfg.Filter.Netns) == 1
	return output.NewText(w, style, t.Zone)
}

// Write writes to standard output and counts that as progress.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.s.t.Stdout.Write(p)
	w.progress.Add(1)
	return n, err
}

// run prints until the queue is closed and empty, enough was shown, or standard
// output fails; then it ends the session.
func (w *writer) run() error {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	var b batch
	for {
		w.s.q.take(&b, time.Now())
		done, err := w.print(&b)
		if b.asked {
			w.count()
		}
		if err == nil && (b.last || done) {
			err = errors.Join(w.losses(), w.arrivals())
		}
		switch {
		case err != nil:
			err = fmt.Errorf("write to standard output: %w", err)
			w.s.cancel(err)
			return err
		case done:
			w.s.cancel(console.ErrLimit)
			return nil
		case b.last:
			return nil
		}
		due.Stop()
		if !b.due.IsZero() {
			due.Reset(time.Until(b.due))
		}
		select {
		case <-w.s.q.wake:
		case <-due.C:
		case <-tick.C:
			if err := w.tick(); err != nil {
				err = fmt.Errorf("write to standard output: %w", err)
				w.s.cancel(err)
				return err
			}
		}
	}
}

// print prints a batch and reports whether that is all that was asked for.
func (w *writer) print(b *batch) (done bool, err error) {
	if len(b.drops)+len(b.folded)+len(b.notices) == 0 {
		return false, nil
	}
	w.prepare()
	for _, n := range b.notices {
		if err := w.notice(n); err != nil {
			return false, err
		}
	}
	for i := 0; i < len(b.drops) && !w.enough(); i++ {
		if err := w.out.Drop(&b.drops[i]); err != nil {
			return false, err
		}
		w.pendingShown++
		w.pendingFolded += b.drops[i].Repeats
	}
	for i := 0; i < len(b.folded) && !w.enough(); i++ {
		shown, err := w.out.Folded(b.folded[i])
		if err != nil {
			return false, err
		}
		w.pendingShown += shown
		w.pendingFolded += b.folded[i].Count - shown
	}
	return w.enough(), w.flush()
}

// enough counts what is printed and not yet flushed: -c is never exceeded.
func (w *writer) enough() bool {
	limit := w.s.o.Limit
	return limit > 0 && w.s.rec == nil && w.shown.Load()+w.pendingShown >= limit
}

// prepare makes room on the terminal and learns its width.
func (w *writer) prepare() {
	w.busy = true
	w.status.Erase()
	if w.wide != nil {
		columns, _ := console.Width(w.wide)
		w.out.SetWidth(columns)
	}
}

// flush counts as shown only what has left.
func (w *writer) flush() error {
	if err := w.out.Flush(); err != nil {
		return err
	}
	w.shown.Add(w.pendingShown)
	w.folded.Add(w.pendingFolded)
	w.pendingShown, w.pendingFolded = 0, 0
	return nil
}

// notice goes to people, and into the stream where programs read it.
func (w *writer) notice(n drop.Notice) error {
	if !w.s.o.Quiet {
		console.PrintNotice(w.s.t.Stderr, w.s.t.Style(w.s.t.Stderr), n)
	}
	if w.s.rec.Silent() {
		return nil
	}
	return w.out.Notice(n)
}

// losses tells in the stream what was lost since it last did.
func (w *writer) losses() error {
	if w.s.rec.Silent() {
		return nil // it stands in the recording
	}
	lost := max(w.s.src.Stats().Lost, w.lost)
	places := w.newLosses()
	if lost == w.lost && len(places) == 0 {
		return nil
	}
	w.prepare()
	l := output.Loss{Time: time.Now(), Lost: lost - w.lost, Total: lost, Places: places}
	w.lost = lost
	if err := w.out.Loss(l); err != nil {
		return err
	}
	return w.flush()
}

// arrivals closes a stream that programs read.
func (w *writer) arrivals() error {
	out, ok := w.out.(arrivalsPrinter)
	a := w.s.src.Arrivals()
	if !ok || a == nil || w.s.rec.Silent() {
		return nil
	}
	w.prepare()
	if err := out.Arrivals(*a); err != nil {
		return err
	}
	return w.flush()
}

// newLosses tells apart what was lost since it last did.
func (w *writer) newLosses() []output.LossPlace {
	var out []output.LossPlace
	for _, p := range w.s.src.Losses().Places {
		n := p.Count - w.lostPlaces[p.Drop]
		if n == 0 {
			continue
		}
		if w.lostPlaces == nil {
			w.lostPlaces = make(map[*drop.Drop]uint64)
		}
		w.lostPlaces[p.Drop] = p.Count
		out = append(out, output.NewLossPlace(p.Drop, n))
	}
	return out
}

// tick does what is due each second.
func (w *writer) tick() error {
	if err := w.losses(); err != nil {
		return err
	}
	if w.wide == nil && console.HungUp(w.s.t.Stdout) {
		return syscall.EPIPE
	}
	if w.s.rec.Failed() {
		w.s.cancel(errRecording)
	}
	if !w.busy {
		c := w.s.src.Stats()
		columns, _ := console.Width(w.s.t.Stderr)
		w.status.SetWidth(columns)
		w.status.Show(time.Since(w.s.start), c.Seen, c.Delivered-min(c.FilteredUser, c.Delivered), w.s.src.Arrivals())
	}
	w.busy = false
	return nil
}
