// Package tracer attaches droptrace's kernel side, reads its records and counts
// what is lost. It knows no ruleset: events carry the kernel's own numbers.
package tracer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/droptrace/droptrace/bpf"
	"github.com/droptrace/droptrace/tracer/event"
)

// Tracer is an attached kernel side.
type Tracer struct {
	kernel *kernelSide
	// Why the expression does not run in the kernel; nil where it does.
	expressionRefused error
	reader            *ringbuf.Reader
	record            ringbuf.Record
	links             links
	config            bpf.KernelConfig
	notices           []string // taken by Notices
	noticed           []string // all there ever were
	xt                xtAllocator
	sites             map[uint32][]uint64 // calibrated call sites by kind
	learned           uint8               // kinds of those, a bit per enum frame_kind
	plan              string
	used              map[Plan]int // probes attached, by kind
	ctUsed            map[Plan]int // the same for probes on conntrack
	options           Options
	knowsNFT          bool
	unknown           unknownLayouts
	hookless          bool            // the kernel's types do not tell how to recognise a hook
	attached          map[string]bool // functions that have their probe
	countsArrivals    bool
	probeless         bool // the kernel takes neither fentry nor kprobes
	again             recalibration
	recorders         recorders
	skippedBefore     uint64        // runs that the kernel skipped while calibrating
	offset            time.Duration // CLOCK_REALTIME - CLOCK_MONOTONIC
}

// ErrNoReads says that the kernel lets no program read its memory.
var ErrNoReads = errors.New("the kernel lets no program read its memory")

// ErrNoBTF says that the kernel describes its types nowhere.
var ErrNoBTF = errors.New("the kernel has no BTF")

// Open loads, calibrates and attaches. The error names what is missing.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	kernel, refused, err := loadWithExpression(&o)
	if err != nil {
		return nil, err
	}
	if o.Plan == "" {
		o.Plan = PlanAuto
	}
	t := &Tracer{kernel: kernel, expressionRefused: refused, xt: newXTAllocator(o.xtCapacity()), sites: make(map[uint32][]uint64), options: o, attached: make(map[string]bool), used: make(map[Plan]int), ctUsed: make(map[Plan]int)}
	if err := t.start(ctx, &o); err != nil {
		t.Close()
		return nil, err
	}
	if refused != nil {
		t.notice("the kernel refuses the expression, which is slower outside of it: %v", refused)
	}
	return t, nil
}

// ExpressionInKernel reports whether events have passed Options.Expression.
func (t *Tracer) ExpressionInKernel() bool { return t.expressionRefused == nil }

func (t *Tracer) start(ctx context.Context, o *Options) error {
	var err error
	if t.offset, err = clockOffset(); err != nil {
		return err
	}
	if err := t.configure(o); err != nil {
		return err
	}
	if t.reader, err = ringbuf.NewReader(t.kernel.table("events")); err != nil {
		return fmt.Errorf("open ring buffer: %w", err)
	}
	l, err := t.kernel.machine.attachTracing(t.kernel.Free)
	if err != nil {
		return fmt.Errorf("attach to tracepoint skb:kfree_skb: %w", err)
	}
	if err := t.links.keep(l); err != nil {
		return err
	}
	if t.plan, err = t.prepareNFT(ctx, o); err != nil {
		return err
	}
	t.config.Ready = 1
	if err := t.writeConfig(); err != nil {
		return err
	}
	t.skippedBefore = t.skipped()
	if o.Arrivals {
		if err := t.attachArrivals(); err != nil {
			t.notice("%v", err)
		} else {
			t.countsArrivals = true
		}
	}
	if hasXT(o.Symbols) && t.unknown.xt == nil {
		t.kernel.loadAhead()
	}
	return nil
}

func (t *Tracer) configure(o *Options) error {
	l, err := newLayouts(o.kernel().types(o.BTF))
	if err != nil {
		return err
	}
	layout, unknown := kernelLayout(l)
	t.unknown = unknown
	t.tellUnknown(o.Symbols)
	t.checkHookMembers(l)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count possible CPUs: %w", err)
	}
	t.config.Layout = layout
	t.config.PossibleCpus = uint32(cpus)
	if t.config.MibListenDrops == 0 {
		if err := t.findCounters(); err != nil {
			t.notice("full queues of listening sockets are not told: %v", err)
		}
	}
	if err := setText(&t.config, o.Symbols); err != nil {
		t.notice("hooks and rules are not told: %v", err)
	}
	if err := setSites(&t.config, o.Symbols); err != nil {
		t.notice("drops in some functions are told without their hook and rule: %v", err)
	}
	old := layout.NetTables != [2][8]uint16{}
	if err := setHookFunctions(t.kernel.table("hook_fns"), o.Symbols, old); err != nil {
		t.notice("rules of hooks may stay unknown: %v", err)
	}
	return t.writeConfig()
}

// Refresh takes notice of modules that were loaded after Open, nf_tables or
// ip_tables among them: their functions, their types, their call sites.
func (t *Tracer) Refresh(ctx context.Context, symbols Symbols) error {
	t.kernel.ahead.Wait()
	t.options.BTF = btf.NewCache() // the old one has its own list of modules
	t.kernel.types.Store(t.options.BTF)
	t.options.Symbols = symbols
	o := t.options
	t.config.Sites = [24]bpf.KernelSiteRange{}
	if err := t.configure(&o); err != nil {
		return err
	}
	prepare := t.attachProbes // of modules that came since
	if hasNFT(symbols) && t.unknown.nft == nil && !t.knowsNFT {
		prepare = func(Plan, Symbols) (string, error) { return t.prepareNFT(ctx, &o) }
	}
	plan, err := prepare(o.Plan, symbols)
	if err != nil {
		return err
	}
	t.plan = plan
	return t.writeConfig()
}

// prepareNFT calibrates and attaches what answers for nftables need.
func (t *Tracer) prepareNFT(ctx context.Context, o *Options) (string, error) {
	t.knowsNFT = hasNFT(o.Symbols) && t.unknown.nft == nil
	t.calibrate(ctx, o.Symbols)
	return t.attachProbes(o.Plan, o.Symbols)
}

func (t *Tracer) writeConfig() error {
	if err := t.kernel.table("settings").Put(uint32(0), &t.config); err != nil {
		return fmt.Errorf("configure kernel side: %w", err)
	}
	return nil
}

// setText bounds what may be a function pointer. Modules get room to both
// sides: one may be loaded later.
func setText(c *bpf.KernelConfig, symbols Symbols) error {
	const room = 64 << 20
	start, end := symbols.Text()
	if start == 0 || end == 0 {
		return errNoText
	}
	c.TextStart, c.TextEnd = start, end
	if lo, hi := symbols.Modules(); lo != 0 {
		c.ModulesStart, c.ModulesEnd = lo-room, hi+room
	}
	return nil
}

// Read waits for the next record. After Close it returns os.ErrClosed.
func (t *Tracer) Read(e *event.Event) error {
	if err := t.reader.ReadInto(&t.record); err != nil {
		return fmt.Errorf("read ring buffer: %w", err)
	}
	if err := e.Decode(t.record.RawSample); err != nil {
		return err
	}
	t.checkFrame(e)
	return nil
}

// SetDeadline lets Read return os.ErrDeadlineExceeded at that time.
func (t *Tracer) SetDeadline(at time.Time) { t.reader.SetDeadline(at) }

// Detach stops new records; those in the ring can still be read, after which
// Read returns ringbuf.ErrFlushed. It may be called beside Read.
func (t *Tracer) Detach() error {
	return errors.Join(t.links.close(), t.reader.Flush())
}

// SetClock takes the wall clock as it is now: it is set, and the events' clock
// stands still while the machine sleeps.
func (t *Tracer) SetClock() error {
	offset, err := clockOffset()
	if err == nil {
		t.offset = offset
	}
	return err
}

// Time turns an event's clock into wall time.
func (t *Tracer) Time(e *event.Event) time.Time {
	return time.Unix(0, int64(e.Time)).Add(t.offset)
}

// Plan says in words which probes are attached.
func (t *Tracer) Plan() string { return t.plan }

// Notices says in plain words what this kernel or user cannot give: what has come
// up since it was last called.
func (t *Tracer) Notices() []string {
	for _, d := range t.kernel.doubts.take() {
		t.notice("%s", d)
	}
	for _, p := range t.kernel.parts.notices {
		t.notice("%s", p)
	}
	n := t.notices
	t.notices = nil
	return n
}

// Close detaches everything and frees it.
func (t *Tracer) Close() error {
	t.again.stop()
	err := t.links.close()
	if t.reader != nil {
		err = errors.Join(err, t.reader.Close())
	}
	t.recorders.close()
	t.kernel.Close()
	return err
}
