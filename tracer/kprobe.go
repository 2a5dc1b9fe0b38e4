package tracer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// isReturn is the bit of a kprobe's perf_event_attr.config that makes it a
// kretprobe: /sys/bus/event_source/devices/kprobe/format/retprobe.
const isReturn = 1

// attachedKprobe is a kprobe's perf event: closed, it is detached.
type attachedKprobe int

func (k attachedKprobe) Close() error {
	if err := unix.Close(int(k)); err != nil {
		return fmt.Errorf("close kprobe: %w", err)
	}
	return nil
}

// ErrNoKprobes says that the kernel has none that a program may use.
var ErrNoKprobes = errors.New("this kernel has no kprobes (CONFIG_KPROBE_EVENTS)")

func kprobeAt(addr, config uint64, prog *ebpf.Program) (io.Closer, error) {
	const file = "/sys/bus/event_source/devices/kprobe/type"
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoKprobes
	}
	if err != nil {
		return nil, fmt.Errorf("read perf's number for kprobes: %w", err)
	}
	typ, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// config1 is kprobe_func, the name; config2 is kprobe_addr without one.
	attr := unix.PerfEventAttr{Type: uint32(typ), Size: unix.PERF_ATTR_SIZE_VER1, Config: config, Ext2: addr}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open kprobe at %#x: %w", addr, err)
	}
	if err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); err == nil {
		err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("attach to kprobe at %#x: %w", addr, err)
	}
	return attachedKprobe(fd), nil
}
