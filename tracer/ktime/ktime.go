// Package ktime reads the clock of the kernel's records.
//
// bpf_ktime_get_ns is CLOCK_MONOTONIC as the machine has it. A process in a time
// namespace (Linux 5.6, time_namespaces(7)) reads another one, moved by an offset.
package ktime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Now returns nanoseconds, as event.Event.Time has them.
func Now() (uint64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("read monotonic clock: %w", err)
	}
	offset, err := ownOffset()
	return uint64(now.Nano() - int64(offset)), err
}

// ownOffset is what this process's time namespace adds to the machine's clock. It
// can change only before a process has a second thread (timens_install).
var ownOffset = sync.OnceValues(func() (time.Duration, error) {
	b, err := os.ReadFile("/proc/self/timens_offsets")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // no time namespaces in this kernel
	}
	if err != nil {
		return 0, fmt.Errorf("read the offset of the time namespace: %w", err)
	}
	// The file is about the namespace that children will be in.
	own, err := os.Readlink("/proc/self/ns/time")
	children, errChildren := os.Readlink("/proc/self/ns/time_for_children")
	if err == nil && errChildren == nil && own != children {
		return 0, fmt.Errorf("read the offset of the time namespace: %s is left for %s", own, children)
	}
	return parse(b)
})

// parse finds the offset in lines of clock, seconds and nanoseconds.
func parse(offsets []byte) (time.Duration, error) {
	lines := bufio.NewScanner(bytes.NewReader(offsets))
	for lines.Scan() {
		var clock string
		var seconds, nanoseconds int64
		if _, err := fmt.Sscan(lines.Text(), &clock, &seconds, &nanoseconds); err != nil {
			return 0, fmt.Errorf("offset %q of the time namespace: %w", lines.Text(), err)
		}
		if clock == "monotonic" {
			return time.Duration(seconds)*time.Second + time.Duration(nanoseconds), nil
		}
	}
	return 0, errors.New("the time namespace has no offset of the monotonic clock")
}
