package main

import (
	"syscall"
	"testing"
	"time"
)

func TestTheTwinOfASignalDoesNotKillAtTheEnd(t *testing.T) {
	ctx, stop := signals(t.Context())
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
