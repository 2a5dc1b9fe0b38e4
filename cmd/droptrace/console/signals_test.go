package console

import (
	"syscall"
	"testing"
	"time"
)

func TestTheTwinOfASignalDoesNotKillAtTheEnd(t *testing.T) {
	ctx, stop := Signals(t.Context())
	raise := func() {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	raise()
	<-ctx.Done()
	stop()
	raise()
	time.Sleep(50 * time.Millisecond) // for it to come
}
