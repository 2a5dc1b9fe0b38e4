package live

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/tracer"
)

// readFilter reads the command line's filters before anything that takes
// privileges: what is wrong with them is told to everybody.
func (t *Trace) readFilter(ctx context.Context, cfg Config) (*btf.Cache, error) {
	asked, err := netns.ParseAll(ctx, cfg.Filter.Netns)
	if err != nil {
		return nil, &ArgumentError{Err: fmt.Errorf("--netns: %w", err)}
	}
	if err := enoughDescriptors(); err != nil {
		return nil, err
	}
	types, noTypes := t.readTypes()
	spec := cfg.Filter
	if noTypes != nil {
		spec.Reason = nil // their numbers are in there
	}
	if t.filter, err = parseFilter(spec, asked, t.reasons); err != nil {
		return nil, &ArgumentError{Err: err}
	}
	if noTypes != nil {
		return nil, noTypes
	}
	t.asked, t.namespaces = asked, asked
	if len(asked) == 0 {
		own, err := netns.Current()
		if err != nil {
			return nil, err
		}
		t.namespaces = []netns.Namespace{own}
	}
	return types, nil
}

// enoughDescriptors fails where fewer are left than tracing takes: the libraries that
// look for what the kernel can do would take their lack for the kernel's.
func enoughDescriptors() error {
	const most = 128 // maps, programs, a link for each probe, namespaces
	var open []int
	defer func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}()
	for range most {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open files: %w", err)
		}
		open = append(open, fd)
	}
	return nil
}

// readTypes reads the kernel's types, and drop reasons where it has some.
func (t *Trace) readTypes() (*btf.Cache, error) {
	types := btf.NewCache()
	spec, err := types.Kernel()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tracer.ErrNoBTF, err)
	}
	t.reasons, t.noReasons = symbol.LoadReasons(spec)
	return types, nil
}

// symbolsHint says what shows addresses.
func symbolsHint(err error) string {
	if errors.Is(err, symbol.ErrHidden) {
		return ": they take CAP_SYSLOG, and kernel.kptr_restrict below 2"
	}
	return ""
}
