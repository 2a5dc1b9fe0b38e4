package main

import (
	"context"
	"time"
)

// orInterrupted is what do returns, or where ctx ends first and do goes on regardless
// of it, the cause of that. It is for work whose end nobody needs.
func orInterrupted[T any](ctx context.Context, do func() (T, error)) (T, error) {
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
	case <-time.After(drainGrace):
		var none T
		return none, context.Cause(ctx)
	}
}
