package tracer

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// clockOffset returns CLOCK_REALTIME minus CLOCK_MONOTONIC, the clock of
// bpf_ktime_get_ns. Of several tries the one with the least time between its
// two readings of the monotonic clock is taken.
func clockOffset() (time.Duration, error) {
	best, offset := time.Duration(1<<62), time.Duration(0)
	for range 10 {
		var before, wall, after unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
			return 0, fmt.Errorf("read monotonic clock: %w", err)
		}
		if err := unix.ClockGettime(unix.CLOCK_REALTIME, &wall); err != nil {
			return 0, fmt.Errorf("read wall clock: %w", err)
		}
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &after); err != nil {
			return 0, fmt.Errorf("read monotonic clock: %w", err)
		}
		b, a := before.Nano(), after.Nano()
		if took := time.Duration(a - b); took < best {
			best, offset = took, time.Duration(wall.Nano()-(b+a)/2)
		}
	}
	return offset, nil
}
