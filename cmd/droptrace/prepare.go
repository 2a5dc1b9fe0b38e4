package main

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
func (t *trace) readFilter(ctx context.Context, cfg Config) (*btf.Cache, error) {
	asked, err := parseNamespaces(ctx, cfg.Filter.Netns)
	if err != nil {
		return nil, badUsage(err)
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
		return nil, badUsage(err)
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
func (t *trace) readTypes() (*btf.Cache, error) {
	types := btf.NewCache()
	spec, err := types.Kernel()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tracer.ErrNoBTF, err)
	}
	t.reasons, t.noReasons = symbol.LoadReasons(spec)
	return types, nil
}

// explainFailure adds what to do.
func explainFailure(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return errorWithHint(err, "droptrace needs more file descriptors: ulimit -n 1024")
	case errors.Is(err, unix.ENFILE):
		return errorWithHint(err, "the machine has no file descriptors left (fs.file-max)")
	case errors.Is(err, tracer.ErrNoKprobes):
		return errorWithHint(err, "--probes auto takes what there is; droptrace doctor lists it")
	case errors.Is(err, tracer.ErrNoBTF):
		return errorWithHint(err, "droptrace needs a kernel with BTF (CONFIG_DEBUG_INFO_BTF=y), 5.10 or later")
	case errors.Is(err, symbol.ErrHidden):
		return errorWithHint(err, "it takes root with CAP_SYSLOG, and kernel.kptr_restrict below 2: sudo droptrace")
	case errors.Is(err, tracer.ErrNoReads):
		return errorWithHint(err, "kernel lockdown does that, at confidentiality: see /sys/kernel/security/lockdown")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if missing, e := missingPrivileges(); e == nil && len(missing) == 0 {
			return errorWithHint(err, "the kernel refuses it to root as well: a lockdown or a security module does so")
		}
		return errorWithHint(err, "run it as root: sudo droptrace")
	case errors.Is(err, unix.ENOSYS):
		return errorWithHint(err, "this kernel has no BPF (CONFIG_BPF_SYSCALL)")
	}
	return err
}

// symbolsHint says what shows addresses.
func symbolsHint(err error) string {
	if errors.Is(err, symbol.ErrHidden) {
		return ": they take CAP_SYSLOG, and kernel.kptr_restrict below 2"
	}
	return ""
}
