package main

import (
	"context"
	"errors"
	"testing"
)

func TestInterruptedWorkIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errSignal)
	forever := make(chan struct{})
	defer close(forever)
	if _, err := orInterrupted(ctx, func() (int, error) { <-forever; return 1, nil }); !errors.Is(err, errSignal) {
		t.Error(err)
	}
	if n, err := orInterrupted(context.Background(), func() (int, error) { return 1, nil }); n != 1 || err != nil {
		t.Error(n, err)
	}
}
