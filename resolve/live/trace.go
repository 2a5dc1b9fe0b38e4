package live

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/tracer"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// Trace is this machine being traced: [Drops] or [Failures], and a [Report].
type Trace struct {
	tracer     *tracer.Tracer
	resolver   *resolve.Resolver
	symbols    *symbol.Live
	reasons    *symbol.Reasons
	noReasons  error // why there are none
	filter     *filter.Filter
	expression *expression.Program
	// Where it does not run in the kernel, or on what is no drop, we run it.
	expressionInKernel bool
	all                bool

	asked      []netns.Namespace // with --netns
	namespaces []netns.Namespace // these, else our own
	interfaces []string          // asked for by name

	arrivals       arrivals
	synproxyBefore map[uint32]machine.Synproxy
	countersBefore map[uint32]machine.Counters

	event   event.Event
	drop    drop.Drop // the one that Next returned
	capture drop.Capture
	started bool
	held    held
	flushed bool // nothing more will come
	batches batches
	// What is in the ring at the end is still resolved, within drainGrace.
	drained      context.Context
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

// Open loads the tracer. An [ArgumentError] says which value of cfg is wrong,
// an [ExpressionError] that the expression is; other errors are those of packages
// symbol and tracer, and EPERM.
func Open(ctx context.Context, cfg Config) (*Trace, error) {
	program, err := compiled(ctx, cfg.Expression)
	if err != nil {
		return nil, err
	}
	t := &Trace{all: cfg.All, notice: func(message string) {
		if cfg.Notify != nil {
			cfg.Notify(drop.Notice{Message: message})
		}
	}}
	types, err := t.readFilter(ctx, cfg)
	if err != nil {
		return nil, err
	}
	// Before the symbols: a module that comes in between is found by refresh.
	modules, _ := os.ReadFile("/proc/modules")
	t.modules = moduleNames(modules)
	symbols, hidden := symbol.Open()
	if hidden != nil {
		symbols = symbol.Hidden()
	}
	t.symbols = symbols
	if err := t.open(ctx, cfg, types, program); err != nil {
		t.Close()
		return nil, err
	}
	if hidden != nil {
		t.notice(hidden.Error() + symbolsHint(hidden))
	}
	return t, nil
}

// compiled is nil for no expression.
func compiled(ctx context.Context, text string) (*expression.Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p, err := expression.Compile(ctx, Tcpdump(program.Runner{}), text)
	if err != nil {
		return nil, &ExpressionError{err}
	}
	return p, nil
}

func (t *Trace) open(ctx context.Context, cfg Config, types *btf.Cache, program *expression.Program) error {
	t.interfaces = slices.Concat(cfg.Filter.Iface, cfg.Filter.In, cfg.Filter.Out)
	if err := checkInterfaces(ctx, t.interfaces, t.asked); err != nil {
		return err
	}
	kernel, _ := t.filter.Kernel()
	var err error
	t.tracer, err = tracer.Open(ctx, tracer.Options{
		Filter: kernel, Symbols: Symbols(t.symbols.Table()), BufferSize: cfg.bufferSize(),
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
	if t.noReasons != nil {
		t.notice(t.noReasons.Error())
	}
	t.resolver, err = resolve.New(resolve.Config{
		Symbols: t.symbols, Reasons: t.reasons, Watcher: t.watcher(),
		ProbesComplete: t.probesComplete,
		NoWhy:          cfg.NoWhy,
		Realtime:       realtime(),
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
	t.synproxyBefore, t.countersBefore = t.synproxies(), t.counters()
	if err := t.resolver.Prepare(ctx); err != nil {
		t.notice("rules of iptables-legacy may stay unknown: " + err.Error())
	}
	return nil
}

// Next implements [Drops].
func (t *Trace) Next(ctx context.Context) (*drop.Drop, error) {
	if !t.started {
		t.started, t.drained = true, outlasting(ctx, drainGrace)
		// Detaching ends a Read that waits, once it has drained the ring.
		context.AfterFunc(ctx, func() {
			t.tracer.Detach()
		})
		context.AfterFunc(t.drained, t.resolver.Stop)
		t.refreshNext = time.Now().Add(refreshEvery)
		t.tracer.SetDeadline(t.refreshNext)
	}
	for {
		now := time.Now()
		if len(t.held.drops) > 0 {
			if d := t.unhold(now); d != nil {
				return d, nil
			}
		}
		if t.flushed {
			t.lost.seen = 0 // a run may have been between its two counts
			t.collectLosses()
			return nil, io.EOF
		}
		t.maintain(ctx, now)
		t.lookSoon(now)
		if t.batches.due(now, t.fresh) {
			time.Sleep(batchLength)
		}
		err := t.tracer.Read(&t.event)
		switch {
		case errors.Is(err, ringbuf.ErrFlushed):
			t.flushed = true
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue // for maintain
		case err != nil:
			return nil, err
		}
		if d := t.resolve(); d != nil {
			return d, nil
		}
	}
}

// Capture implements [Drops].
func (t *Trace) Capture() *drop.Capture {
	t.capture.Read(&t.event)
	return &t.capture
}

// Stats implements [Report]. After Close it returns the last counts.
func (t *Trace) Stats() drop.Counts {
	c, err := t.tracer.Counts()
	if err != nil {
		if last := t.last.Load(); last != nil {
			c = *last
		}
	} else {
		t.last.Store(&c)
	}
	notLost := t.notLost.Load()
	return drop.Counts{
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

// About implements [Report].
func (t *Trace) About() string {
	var u unix.Utsname
	release := "Linux"
	if unix.Uname(&u) == nil {
		release += " " + unix.ByteSliceToString(u.Release[:])
	}
	return release + ", " + t.tracer.Plan()
}

// Hidden implements [Report].
func (t *Trace) Hidden() []string {
	var out []string
	for _, n := range t.namespaces {
		h, err := netns.Open(n)
		if err != nil {
			continue // gone
		}
		err = h.Do(func() error {
			hiding, err := machine.Hiding(t.wantsInterface)
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

// Close implements [Drops].
func (t *Trace) Close() error {
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
