package doctor

import (
	"sync/atomic"
	"testing"
)

func TestSomeAtOnce(t *testing.T) {
	const n = 50
	var running, most atomic.Int32
	called := make([]int, n)
	full := make(chan struct{})
	someAtOnce(n, func(i int) {
		called[i]++
		now := running.Add(1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		if i < atOnce { // these wait for each other
			if now == atOnce {
				close(full)
			}
			<-full
		}
		running.Add(-1)
	})
	if most.Load() != atOnce {
		t.Errorf("%d at once, want %d", most.Load(), atOnce)
	}
	for i, times := range called {
		if times != 1 {
			t.Errorf("%d called %d times", i, times)
		}
	}
}
