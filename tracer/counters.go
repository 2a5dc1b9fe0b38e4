package tracer

import (
	"errors"
	"fmt"
	"os"

	"github.com/droptrace/droptrace/tracer/enum"
)

var errNoCounter = errors.New("the kernel's BTF names no LINUX_MIB_LISTENDROPS")

// findCounters looks for the numbers of counters in the kernel's BTF: they shift
// when one is added, and their enumeration has no name to ask for.
func (t *Tracer) findCounters() error {
	types, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		return fmt.Errorf("read kernel types: %w", err)
	}
	values, err := enum.Values(types, "LINUX_MIB_LISTENDROPS", "LINUX_MIB_LISTENOVERFLOWS",
		"LINUX_MIB_TCPREQQFULLDROP", "LINUX_MIB_TCPDEFERACCEPTDROP")
	if err != nil {
		return fmt.Errorf("read kernel types: %w", err)
	}
	for _, v := range values {
		if v == 0 {
			return errNoCounter
		}
	}
	t.config.MibListenDrops, t.config.MibListenOverflows = values[0], values[1]
	t.config.MibQueueFull, t.config.MibDeferred = values[2], values[3]
	return nil
}
