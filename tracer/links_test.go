package tracer

import (
	"sync"
	"sync/atomic"
	"testing"
)

type countedLink struct{ closed *atomic.Int64 }

func (l countedLink) Close() error { l.closed.Add(1); return nil }

// Each link is closed once, however its attaching and the end meet.
func TestLinksAttachedBesideTheEndAreClosed(t *testing.T) {
	const attachers, each = 4, 200
	var closed atomic.Int64
	var l links
	var running sync.WaitGroup
	for range attachers {
		running.Go(func() {
			for range each {
				if err := l.keep(countedLink{&closed}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		running.Go(func() {
			if err := l.close(); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if n := closed.Load(); n != attachers*each {
		t.Errorf("%d of %d links are closed", n, attachers*each)
	}
}
