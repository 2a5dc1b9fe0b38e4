package console

import (
	"context"
	"errors"
	"testing"
)

func TestInterruptedWorkIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(ErrSignal)
	forever := make(chan struct{})
	defer close(forever)
	if _, err := OrInterrupted(ctx, func() (int, error) { <-forever; return 1, nil }); !errors.Is(err, ErrSignal) {
		t.Error(err)
	}
	if n, err := OrInterrupted(context.Background(), func() (int, error) { return 1, nil }); n != 1 || err != nil {
		t.Error(n, err)
	}
}
