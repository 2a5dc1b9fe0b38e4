package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/link"
	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/symbol"
	"github.com/droptrace/droptrace/tracer"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// trace is the source that traces this machine.
type trace struct {
	tracer     *tracer.Tracer
	resolver   *resolve.Resolver
	symbols    *symbol.Live
	reasons    *symbol.Reasons
	filter     *filter.Filter
	expression *expression.Program
	// Where it does not run in the kernel, or on what is no drop, we run it.
	expressionInKernel bool
	all                bool

	namespaces []netns.Namespace // asked for, else our own
	interfaces []string          // asked for by name

	arrivals       arrivals
	synproxyBefore map[uint32]link.Synproxy

	event   event.Event
	drop    resolve.Drop // the one that Next returned
	capture resolve.Capture
	started bool
	naps    naps
	// What is in the ring at the end is still resolved.
	uncancelled  context.Context
	notice       func(message string)
	refreshNext  time.Time
	rewatching   bool      // Read is to end before refreshNext
	modules      string    // names of the loaded ones
	modulesSince time.Time // when they had got their probes
	modulesSeen  time.Time // when they were still the same
	notLost      atomic.Uint64
	filteredUser atomic.Uint64
	undecided    atomic.Uint64
	lost         lostKinds
	last         atomic.Pointer[tracer.Counts]
	before       map[uint32]ctBefore // by namespace
}

// open loads the tracer.
func open(ctx context.Context, cfg Config) (source, error) {
	program, err := compileExpression(ctx, cfg.Expression)
	if err != nil {
		return nil, err
	}
	// Before the symbols: a module that comes in between is found by refresh.
	modules, _ := os.ReadFile("/proc/modules")
	symbols, hidden := symbol.Open()
	if hidden != nil {
		symbols = symbol.Hidden()
	}
	t := &trace{symbols: symbols, all: cfg.All, modules: moduleNames(modules), notice: func(message string) {
		if cfg.Notify != nil {
			cfg.Notify(output.Notice{Message: message})
		}
	}}
	if err := t.open(ctx, cfg, program); err != nil {
		t.Close()
		return nil, explainFailure(err)
	}
	if err := dropPrivileges(cfg.Snaplen > 0); err != nil {
		t.notice("it goes on with all its privileges: " + err.Error())
	}
	if hidden != nil {
		t.notice(hidden.Error() + symbolsHint(hidden))
	}
	return t, nil
}

func (t *trace) open(ctx context.Context, cfg Config, program *expression.Program) error {
	types := btf.NewCache()
	spec, err := types.Kernel()
	if err != nil {
		return fmt.Errorf("%w: %w", tracer.ErrNoBTF, err)
	}
	var noReasons error
	t.reasons, noReasons = symbol.LoadReasons(spec)
	asked, err := parseNamespaces(ctx, cfg.Filter.Netns)
	if err != nil {
		return badUsage(err)
	}
	if t.filter, err = parseFilter(cfg.Filter, asked, t.reasons); err != nil {
		return badUsage(err)
	}
	if t.namespaces = asked; len(asked) == 0 {
		own, err := netns.Current()
		if err != nil {
			return err
		}
		t.namespaces = []netns.Namespace{own}
	}
	t.interfaces = slices.Concat(cfg.Filter.Iface, cfg.Filter.In, cfg.Filter.Out)
	if err := checkInterfaces(ctx, t.interfaces, asked); err != nil {
		return badUsage(err)
	}
	kernel, _ := t.filter.Kernel()
	t.tracer, err = tracer.Open(ctx, tracer.Options{
		Filter: kernel, Symbols: kernelSymbols{t.symbols.Table()}, BufferSize: cfg.bufferSize(),
		Stack: cfg.Stack, Plan: tracer.Plan(cfg.Probes), BTF: types, Expression: program,
		Snaplen: cfg.Snaplen, Conntrack: cfg.Conntrack, Resolved: cfg.Resolved, Stolen: cfg.All,
		Arrivals: cfg.Arrivals,
	})
	if err != nil {
		return err
	}
	if err := t.conntrackBaselines(ctx); err != nil {
		t.notice("causes of conntrack failures may be wrong at first: " + err.Error())
	}
	if program != nil && program.Addresses() {
		t.notice("the expression looks at hardware addresses: packets that this host sends have none yet when netfilter drops them, and those of tunnels never")
	}
	t.expression, t.expressionInKernel = program, t.tracer.ExpressionInKernel()
	if t.arrivals.asked = t.tracer.CountsArrivals(); cfg.Arrivals {
		t.arrivals.leftOut = t.notOfArrivals(&cfg.Filter)
	}
	t.tellNotices()
	if noReasons != nil {
		t.notice(noReasons.Error())
	}
	t.resolver, err = resolve.New(resolve.Config{
		Symbols: t.symbols, Reasons: t.reasons, Watcher: t.watcher(),
		ProbesComplete: t.probesComplete,
		NoWhy:          cfg.NoWhy,
		Ctnetlink:      t.Ctnetlink(),
		Notify:         t.notice,
	})
	if err != nil {
		return err
	}
	t.modulesSince = time.Now()
	if cfg.Conntrack {
		return nil // no rule is asked for
	}
	t.synproxyBefore = t.synproxies()
	if err := t.resolver.Prepare(ctx); err != nil {
		t.notice("rules of iptables-legacy may stay unknown: " + err.Error())
	}
	return nil
}

// explainFailure adds what to do.
func explainFailure(err error) error {
	switch {
	case errors.Is(err, tracer.ErrNoBTF):
		return errorWithHint(err, "droptrace needs a kernel with BTF (CONFIG_DEBUG_INFO_BTF=y), 5.10 or later")
	case errors.Is(err, symbol.ErrHidden):
		return errorWithHint(err, "it takes root with CAP_SYSLOG, and kernel.kptr_restrict below 2: sudo droptrace")
	case errors.Is(err, tracer.ErrNoReads):
		return errorWithHint(err, "kernel lockdown does that, at confidentiality: see /sys/kernel/security/lockdown")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
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

// Next implements source.
func (t *trace) Next(ctx context.Context) (*resolve.Drop, error) {
	if !t.started {
		t.started, t.uncancelled = true, context.WithoutCancel(ctx)
		// Detaching ends a Read that waits, once it has drained the ring.
		context.AfterFunc(ctx, func() { t.tracer.Detach() })
		t.refreshNext = time.Now().Add(refreshEvery)
		t.tracer.SetDeadline(t.refreshNext)
	}
	for {
		now := time.Now()
		t.maintain(ctx, now)
		if t.naps.due(now, t.fresh) {
			time.Sleep(napLength)
		}
		err := t.tracer.Read(&t.event)
		switch {
		case errors.Is(err, ringbuf.ErrFlushed):
			t.lost.seen = 0 // a run may have been between its two counts
			t.collectLosses(ctx)
			return nil, io.EOF
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue // for maintain
		case err != nil:
			return nil, err
		}
		if d := t.resolve(t.uncancelled); d != nil {
			return d, nil
		}
	}
}

// Capture implements source.
func (t *trace) Capture() *resolve.Capture {
	t.capture.Read(&t.event)
	return &t.capture
}

// Stats implements source. After Close it returns the last counts.
func (t *trace) Stats() output.Counts {
	c, err := t.tracer.Counts()
	if err != nil {
		if last := t.last.Load(); last != nil {
			c = *last
		}
	} else {
		t.last.Store(&c)
	}
	notLost := t.notLost.Load()
	return output.Counts{
		Seen:           c.Seen - c.Members - notLost,
		FilteredKernel: c.FilteredKernel,
		Lost:           c.Lost,
		Delivered:      c.Delivered - notLost,
		FilteredUser:   t.filteredUser.Load(),
		Members:        c.Members,
		NotLost:        notLost,
		MissedNested:   c.Nested,
		Undecided:      c.Undecided + t.undecided.Load(),
	}
}

// About implements source.
func (t *trace) About() string {
	var u unix.Utsname
	release := "Linux"
	if unix.Uname(&u) == nil {
		release += " " + unix.ByteSliceToString(u.Release[:])
	}
	return release + ", " + t.tracer.Plan()
}

// Hidden implements source.
func (t *trace) Hidden() []string {
	var out []string
	for _, n := range t.namespaces {
		h, err := netns.Open(n)
		if err != nil {
			continue // gone
		}
		err = h.Do(func() error {
			hiding, err := link.Hiding(t.wantsInterface)
			out = append(out, hiding...)
			return err
		})
		if err != nil {
			out = append(out, "not looked at: "+err.Error())
		}
		h.Close()
	}
	return out
}

// Close implements source.
func (t *trace) Close() error {
	var err error
	if t.tracer != nil {
		t.Stats()
		t.Arrivals()
		err = t.tracer.Close()
	}
	if t.resolver != nil {
		err = errors.Join(err, t.resolver.Close())
	}
	return errors.Join(err, t.symbols.Close())
}
