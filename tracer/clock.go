package tracer

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/tracer/ktime"
)

// clockOffset returns CLOCK_REALTIME minus the clock of bpf_ktime_get_ns. Of
// several tries the one with the least time between its two readings of the latter
// is taken.
func clockOffset() (time.Duration, error) {
	best, offset := time.Duration(1<<62), time.Duration(0)
	for range 10 {
		before, err := ktime.Now()
		if err != nil {
			return 0, err
		}
		var wall unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME, &wall); err != nil {
			return 0, fmt.Errorf("read wall clock: %w", err)
		}
		after, err := ktime.Now()
		if err != nil {
			return 0, err
		}
		if took := time.Duration(after - before); took < best {
			best, offset = took, time.Duration(wall.Nano()-int64(before+(after-before)/2))
		}
	}
	return offset, nil
}
