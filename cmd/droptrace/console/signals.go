package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Why a run ended. None of them is a failure.
var (
	ErrSignal   = errors.New("ended by a signal")
	ErrDuration = errors.New("the duration is over")
	ErrLimit    = errors.New("enough drops were shown")
)

// sameSignal is how long a second signal is taken for the first one. timeout(1)
// sends its signal to the process and then to the group that it is in, and shells
// do the like: that is no wish to have a recording cut off.
const sameSignal = 300 * time.Millisecond

// Signals returns a context that the first SIGINT, SIGTERM or SIGHUP ends; a
// later one kills, as if droptrace had never asked. As with tcpdump a SIGHUP that was
// ignored when droptrace started (nohup) stays ignored, and a SIGINT does not: a shell
// ignores it for what a script starts in the background, and `kill -INT` is how such a
// script ends a recording.
//
// SIGPIPE is caught and thrown away, so that a closed pipe is an error of the
// write: by default it kills, and no summary would be printed. It is not
// ignored, because that would be inherited by nft and iptables-save.
func Signals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	end, pipe := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(end, syscall.SIGHUP)
	}
	if !signal.Ignored(syscall.SIGPIPE) {
		signal.Notify(pipe, syscall.SIGPIPE)
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-end:
			cancel(fmt.Errorf("%w: %v", ErrSignal, s))
			select {
			case <-time.After(sameSignal):
				signal.Stop(end)
			case <-stopped: // all is said, and the twin must not kill what only has to exit
			}
		case <-ctx.Done():
			signal.Stop(end)
		}
	}()
	return ctx, func() {
		cancel(nil)
		close(stopped)
		<-done
		signal.Stop(pipe)
	}
}

// OnRequest calls do each time SIGUSR1 comes: as with tcpdump it asks for the counts
// so far.
func OnRequest(do func()) (stop func()) {
	requests, stopped := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(requests, syscall.SIGUSR1)
	go func() {
		for {
			select {
			case <-requests:
				do()
			case <-stopped:
				return
			}
		}
	}()
	return func() {
		signal.Stop(requests)
		close(stopped)
	}
}
