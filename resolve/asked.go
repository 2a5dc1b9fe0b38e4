package resolve

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/tracer/event"
)

// asked is when a question was put to the kernel last, as event.Event.Time. Its
// answer holds for all drops from before: each is answered for, and a backlog takes
// one question.
type asked uint64

func (a *asked) about(e *event.Event) bool { return e.Time < uint64(*a) }

func (a *asked) ask(question func() error) error {
	now, err := uptime()
	if err != nil {
		return err
	}
	if err := question(); err != nil {
		return err
	}
	*a = asked(now)
	return nil
}

// uptime is the time as event.Event.Time has it: unlike the wall clock it is not set.
func uptime() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	return uint64(t.Nano()), nil
}
