package tracer

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"

	"github.com/droptrace/droptrace/bpf"
)

// Capabilities says what this kernel gives to this user, found by trying each
// thing once and taking it away again.
type Capabilities struct {
	// Tracepoint is nil where drops can be seen at all; without it nothing else
	// was tried.
	Tracepoint error
	// Reasons: the tracepoint tells the kernel's drop reason (5.17).
	Reasons bool
	// Fentry and Kprobe are nil where such a probe stood on nf_hook_slow.
	Fentry, Kprobe error
	// Probes are those that PlanAuto would want beside the tracepoint, of the
	// functions that this kernel has now.
	Probes []ProbeCapability
	// NFTables is true where nft_do_chain is in the kernel or loaded.
	NFTables bool
	// InPlace is true where nft's drops are made in nft_do_chain itself and were
	// calibrated: NFTSites is the number of its call sites, of which two tell a
	// rule from a policy.
	InPlace  bool
	NFTSites int
	// HookSites is the number of nf_hook_slow's calibrated call sites: through
	// them the hook's function is known without a probe.
	HookSites int
	// XT is nil where iptables-legacy's counters can be read.
	XT error
	// Notices are those of [Tracer.Notices].
	Notices []string
}

// ProbeCapability is one function and how it can be probed.
type ProbeCapability struct {
	Function string
	// Expression is true for an nftables expression that can end in a drop.
	Expression bool
	// How is PlanFentry or PlanKprobe; empty, with the reason, where neither.
	How Plan
	Err error
}

// EveryExpression reports whether each expression that can drop has a probe.
func (c *Capabilities) EveryExpression() bool {
	some := false
	for _, p := range c.Probes {
		if p.Expression && p.Err != nil {
			return false
		}
		some = some || p.Expression
	}
	return some
}

// Probe finds one function's capability.
func (c *Capabilities) Probe(function string) (ProbeCapability, bool) {
	for _, p := range c.Probes {
		if p.Function == function {
			return p, true
		}
	}
	return ProbeCapability{}, false
}

// Examine finds out what this kernel can do. It attaches what a tracer would,
// for some milliseconds, and calibrates in a namespace of its own.
func Examine(ctx context.Context, o Options) (c Capabilities) {
	o.Plan = PlanTracepoint
	if o.BufferSize == 0 {
		o.BufferSize = 1 << 20
	}
	if spec, err := o.BTF.Kernel(); err == nil {
		arguments, err := tracepointArguments(spec)
		c.Reasons = err == nil && arguments >= 3
	}
	t, err := Open(ctx, o)
	if err != nil {
		c.Tracepoint = err
		return c
	}
	defer t.Close()
	c.Notices = t.Notices()
	c.NFTables, c.InPlace = t.knowsNFT, t.config.NftInPlace != 0
	c.NFTSites, c.HookSites = len(t.sites[siteNFT]), len(t.sites[siteHookSlow])
	c.XT = t.tryXT()
	c.Fentry, c.Kprobe = t.tryHook(o.Symbols)
	for _, p := range probes() {
		if len(o.Symbols.Ranges(p.function)) == 0 || ctx.Err() != nil {
			continue
		}
		how, err := t.try(PlanAuto, p)
		c.Probes = append(c.Probes, ProbeCapability{Function: p.function, Expression: p.nft, How: how, Err: err})
	}
	return c
}

// tryHook tells the two kinds of probes apart on the one function that is in
// every kernel with netfilter.
func (t *Tracer) tryHook(symbols Symbols) (fentry, kprobe error) {
	p := probes()[0]
	if len(symbols.Ranges(p.function)) == 0 {
		err := errors.New("the kernel has no function " + p.function)
		return err, err
	}
	_, fentry = t.try(PlanFentry, p)
	_, kprobe = t.try(PlanKprobe, p)
	return fentry, kprobe
}

// try attaches a probe and takes it away.
func (t *Tracer) try(plan Plan, p probe) (Plan, error) {
	var how Plan
	err := t.links.undo(func() (err error) {
		how, err = t.attachProbe(plan, p)
		return err
	})
	return how, err
}

// tryXT asks for a table that no namespace has: what counts is that the kernel
// side ran and answered.
func (t *Tracer) tryXT() error {
	if t.config.TextStart == 0 {
		return errNoText
	}
	if hasXT(t.options.Symbols) && t.unknown.xt != nil {
		return t.unknown.xt
	}
	programs, err := t.kernel.legacy()
	if err != nil {
		return err
	}
	query := bpf.KernelXtQuery{Pf: nfprotoIPv4, Hook: localIn}
	query.Name[0] = '-'
	if err := t.kernel.table("xt_queries").Put(uint32(0), &query); err != nil {
		return fmt.Errorf("ask for a table: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := programs.Find.Run(&ebpf.RunOptions{Context: [1]uint64{}}); err != nil {
		return fmt.Errorf("find a table in the kernel: %w", err)
	}
	return nil
}

// Of uapi linux/netfilter.h.
const (
	nfprotoIPv4 = 2 // NFPROTO_IPV4
	localIn     = 1 // NF_INET_LOCAL_IN
)
