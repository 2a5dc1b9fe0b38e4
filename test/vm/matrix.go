package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/droptrace/droptrace/test/vm/initramfs"
	"github.com/droptrace/droptrace/test/vm/kernel"
	"github.com/droptrace/droptrace/test/vm/qemu"
)

// A matrix runs the command on one kernel after the other.
type matrix struct {
	opts           options
	stdout, stderr io.Writer
}

// An outcome is what happened on one kernel.
type outcome struct {
	name string
	kern kernel.Kernel
	res  qemu.Result
	err  error // the command did not run to its end
}

// run returns the first exit code that is not 0. Every kernel gets its turn,
// whatever happened on those before.
func (m *matrix) run(ctx context.Context) (int, error) {
	var outcomes []outcome
	for _, name := range m.opts.kernels {
		o := m.runOn(ctx, name)
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		outcomes = append(outcomes, o)
	}
	m.summarize(outcomes)
	for _, o := range outcomes {
		if code := o.code(); code != 0 {
			return code, nil
		}
	}
	return 0, nil
}

func (m *matrix) runOn(ctx context.Context, name string) outcome {
	o := outcome{name: name}
	o.kern, o.err = m.cache().Get(ctx, name, m.opts.update)
	if o.err == nil {
		m.logf("booting Linux %s", o.kern.Release)
		o.res, o.err = m.boot(ctx, o.kern)
	}
	// An interruption is told once, by the caller.
	if o.err != nil && ctx.Err() == nil {
		m.logf("%s: %v", name, o.err)
	}
	return o
}

func (m *matrix) boot(ctx context.Context, k kernel.Kernel) (qemu.Result, error) {
	f, err := os.CreateTemp("", "droptrace-vm-")
	if err != nil {
		return qemu.Result{}, err
	}
	defer f.Close()
	// Removed while open, it cannot be left behind.
	if err := os.Remove(f.Name()); err != nil {
		return qemu.Result{}, err
	}
	userland := ""
	if k.Arch() != runtime.GOARCH {
		if userland, err = m.cache().Userland(ctx, k.Arch()); err != nil {
			return qemu.Result{}, err
		}
	}
	if err := initramfs.Write(f, userland, k.Modules(), m.opts.files, m.opts.command); err != nil {
		return qemu.Result{}, err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, m.opts.timeout, fmt.Errorf("not done after %v", m.opts.timeout))
	defer cancel()
	return qemu.Run(ctx, qemu.Machine{
		Arch:      k.Arch(),
		CPU:       m.opts.cpu,
		Kernel:    k.Image(),
		Initramfs: f,
		Append:    m.opts.append,
		Memory:    m.opts.memory,
		CPUs:      m.opts.cpus,
		ICount:    m.opts.icount,
	}, m.stdout)
}

func (m *matrix) cache() *kernel.Cache {
	return &kernel.Cache{Dir: m.opts.cache, Mirror: m.opts.mirror, Logf: m.logf}
}

func (m *matrix) logf(format string, args ...any) {
	fmt.Fprintf(m.stderr, "vm: "+format+"\n", args...)
}

func (m *matrix) summarize(outcomes []outcome) {
	w := tabwriter.NewWriter(m.stderr, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	for _, o := range outcomes {
		fmt.Fprintf(w, "%s\t%s\t%s\n", o.name, o.kern.Release, o)
	}
	w.Flush()
}

func (o outcome) code() int {
	if o.err != nil {
		return exitFailed
	}
	return o.res.Code
}

func (o outcome) String() string {
	if o.err != nil {
		// All of it was told when it happened.
		reason, _, _ := strings.Cut(o.err.Error(), "\n")
		return "failed: " + reason
	}
	s := "ok"
	if o.res.Code != 0 {
		s = fmt.Sprintf("exit %d", o.res.Code)
	}
	s += fmt.Sprintf("\tboot %.1f s, run %.1f s", o.res.Boot.Seconds(), o.res.Run.Seconds())
	if o.res.Taint != 0 {
		s += fmt.Sprintf(", kernel tainted (%d)", o.res.Taint)
	}
	return s
}

// list prints the kernels that would be booted, looking up those that are not
// in the cache.
func list(ctx context.Context, opts options, stdout io.Writer) error {
	cache := &kernel.Cache{Dir: opts.cache, Mirror: opts.mirror}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, name := range opts.kernels {
		cached, err := cache.Cached(name)
		k, where := cached, "cached"
		if opts.update || errors.Is(err, fs.ErrNotExist) {
			k, err = cache.Newest(ctx, name)
		}
		if err != nil {
			return err
		}
		if k.Version != cached.Version {
			where = "to be downloaded"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, k.Release, k.Version, where)
	}
	return nil
}
