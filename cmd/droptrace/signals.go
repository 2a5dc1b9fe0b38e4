package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// signals returns a context that the first SIGINT, SIGTERM or SIGHUP ends; the
// second kills, as if droptrace had never asked. A signal that was ignored when
// droptrace started (nohup, a shell's background job) stays ignored.
//
// SIGPIPE is caught and thrown away, so that a closed pipe is an error of the
// write: by default it kills, and no summary would be printed. It is not
// ignored, because that would be inherited by nft and iptables-save.
func signals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	end, pipe := make(chan os.Signal, 1), make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(end, s)
		}
	}
	if !signal.Ignored(syscall.SIGPIPE) {
		signal.Notify(pipe, syscall.SIGPIPE)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-end:
			signal.Stop(end)
			cancel(fmt.Errorf("%w: %v", errSignal, s))
		case <-ctx.Done():
			signal.Stop(end)
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
		signal.Stop(pipe)
	}
}
