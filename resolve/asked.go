package resolve

import (
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/ktime"
)

// asked is when a question was put to the kernel last, as event.Event.Time. Its
// answer holds for all drops from before: each is answered for, and a backlog takes
// one question.
type asked uint64

func (a *asked) about(e *event.Event) bool { return e.Time < uint64(*a) }

func (a *asked) ask(question func() error) error {
	now, err := ktime.Now()
	if err != nil {
		return err
	}
	if err := question(); err != nil {
		return err
	}
	*a = asked(now)
	return nil
}
