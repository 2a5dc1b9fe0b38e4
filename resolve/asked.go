package resolve

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/tracer/event"
)

// asked is when a question was put to the kernel last. Its answer holds for all
// drops from before: each is answered for, and a backlog takes one question.
type asked struct {
	at   uint64 // as event.Event.Time
	cost uint64 // ns
}

func (a *asked) about(e *event.Event) bool { return e.Time < a.at }

// due reports whether the question would take less than a fifth of the time.
func (a *asked) due(e *event.Event) bool { return e.Time-a.at >= 4*a.cost }

func (a *asked) ask(question func() error) error {
	start, err := uptime()
	if err != nil {
		return err
	}
	if err := question(); err != nil {
		return err
	}
	end, err := uptime()
	a.at, a.cost = start, end-start
	return err
}

// uptime is the time as event.Event.Time has it: unlike the wall clock it is not set.
func uptime() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	return uint64(t.Nano()), nil
}
