package console

import (
	"context"
	"time"
)

// interruptGrace is how long work may take to end by itself after a signal.
const interruptGrace = 500 * time.Millisecond

// OrInterrupted is what do returns, or where ctx ends first and do goes on regardless
// of it, the cause of that. It is for work whose end nobody needs.
func OrInterrupted[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := do()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-time.After(interruptGrace):
		var none T
		return none, context.Cause(ctx)
	}
}
