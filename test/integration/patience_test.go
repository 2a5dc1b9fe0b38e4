package integration

import (
	"crypto/sha256"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// unhurried is what a wait may take on a machine that has nothing else to do.
	unhurried = time.Minute
	// A megabyte of SHA-256 takes such a machine some milliseconds, a guest without
	// hardware virtualization a hundred.
	workSize = 4 << 20
	workTime = 40 * time.Millisecond
	slowest  = 10 // times as slow as that
)

// limit bounds every wait. It is for failures alone: what can be awaited is awaited.
var limit = unhurried * time.Duration(slowness())

// slowness is how many times slower than it might be the machine is now, by itself
// or for what else it does.
func slowness() int {
	begin := time.Now()
	sha256.Sum256(make([]byte, workSize))
	return int(min(max(time.Since(begin)/workTime, 1), slowest))
}

// defaultSignals has the programs that tests start begin with signals as they are by
// default, where this one was started with some ignored, by nohup or in a script's
// background: what a Go program catches its children do not inherit.
func defaultSignals() {
	caught := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
}

// quiet waits until a reading has not changed for some time, and returns it: for what
// is counted with no end to await.
func quiet[T any](t *testing.T, what string, read func() T) T {
	t.Helper()
	const still = 10 // looks
	last, same := read(), 0
	eventually(t, what, func() bool {
		now := read()
		if same++; !reflect.DeepEqual(now, last) {
			last, same = now, 0
		}
		return same >= still*int(limit/unhurried)
	})
	return last
}

// toldAll waits until droptrace has told as many drops as the kernel counts, and
// ends it. Nothing may be sent any more.
func (r *tracing) toldAll(t *testing.T, counter string, count func() int) {
	t.Helper()
	eventually(t, "all of the kernel's "+counter+" are told", func() bool { return len(r.told(t)) == count() })
}

// settledTCP waits until no connection is being opened or ended in the namespaces.
func settledTCP(t *testing.T, namespaces ...string) {
	t.Helper()
	for _, ns := range namespaces {
		eventually(t, "connections of "+ns+" have ended", func() bool {
			return !slices.ContainsFunc(tcpStates(t, ns), func(state int) bool {
				return state != unix.BPF_TCP_LISTEN && state != unix.BPF_TCP_TIME_WAIT
			})
		})
	}
}
