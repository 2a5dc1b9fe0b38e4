package tracer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/droptrace/droptrace/bpf"
)

// Bits of enum ct_hooked of bpf/event.h.
const (
	hookedClash   = 1 << 0
	hookedFull    = 1 << 1
	hookedInvalid = 1 << 2
)

// ctProbe is a probe on one of conntrack's failing paths.
type ctProbe struct {
	probe
	hooked uint32 // what its silence means
	every  bool   // every new or every ended connection passes it

	optional bool   // missed by nobody where it cannot be had
	without  string // what is missing where it cannot be had
}

// ctProbes are attached in every plan but the tracepoint's: where nothing fails
// they never run. Those that every connection passes tell who was evicted and by
// whom, and are for `droptrace conntrack` alone.
func ctProbes() []ctProbe {
	const invalid = "why packets are invalid is not seen"
	return []ctProbe{
		{hooked: hookedClash, without: "clashes of conntrack are told by counters alone", probe: probe{function: "nf_ct_resolve_clash",
			fentry: "fentry_clash", fexit: "fexit_clash", kprobe: "kprobe_clash", kretprobe: "kretprobe_clash"}},
		{hooked: hookedFull, without: "a full conntrack table is told by counters alone", probe: probe{function: "early_drop",
			fentry: "fentry_early", fexit: "fexit_early", kprobe: "kprobe_early", kretprobe: "kretprobe_early"}},
		// Variadic: fentry is refused.
		{hooked: hookedInvalid, without: invalid, probe: probe{function: "nf_ct_l4proto_log_invalid", kprobe: "kprobe_ct_invalid"}},
		{hooked: hookedInvalid, without: invalid, probe: probe{function: "nf_l4proto_log_invalid", kprobe: "kprobe_l4_invalid"}},
		{optional: true, probe: probe{function: "nf_ct_helper_log", kprobe: "kprobe_ct_helper"}},
		{every: true, without: "who had a connection evicted is not seen", probe: probe{function: "__nf_conntrack_alloc", fentry: "fentry_alloc", kprobe: "kprobe_alloc"}},
		{every: true, without: "evicted connections are not seen", probe: probe{function: "nf_ct_delete",
			fentry: "fentry_delete", fexit: "fexit_delete", kprobe: "kprobe_delete", kretprobe: "kretprobe_delete"}},
		// What gcc leaves of it where it inlines its first test into early_drop
		// (Debian 5.10, 7.2). BTF does not know it.
		{every: true, optional: true, probe: probe{function: "nf_ct_delete.part.0",
			kprobe: "kprobe_delete", kretprobe: "kretprobe_delete"}},
	}
}

// attachConntrack attaches what the plan and the kernel allow, and says in words
// what that came to. A probe that is missing makes causes probable, not wrong.
func (t *Tracer) attachConntrack(plan Plan, symbols Symbols) (string, error) {
	if plan == PlanTracepoint {
		return "tracepoint", nil
	}
	var failed error
	used := t.ctUsed
	hooked := uint32(hookedClash | hookedFull | hookedInvalid)
	for _, p := range ctProbes() {
		if p.every && !t.options.Conntrack || t.attached[p.function] {
			continue
		}
		if _, ok := symbols.Entry(p.function); !ok && p.optional {
			continue
		}
		p.records = true
		err := errNoFunction
		// One that has neither is a kernel that has none: each try takes 20 ms.
		if len(symbols.Ranges(p.function)) > 0 && !t.probeless {
			var how Plan
			if how, err = t.attachPair(plan, p.probe); err == nil {
				used[how]++
				t.attached[p.function] = true
				continue
			}
			if p.optional {
				continue
			}
			t.probeless = plan == PlanAuto && len(used) == 0
			if !t.probeless {
				t.notice("%s: %v", p.without, err)
			}
		}
		hooked &^= p.hooked
		if failed == nil || errors.Is(failed, errNoFunction) { // the others failed of the same
			failed = err
		}
	}
	t.config.CtHooked = hooked
	switch {
	case used[PlanFentry] > 0 && used[PlanKprobe] > 0:
		return "fentry and kprobe", nil
	case used[PlanFentry] > 0:
		return "fentry", nil
	case used[PlanKprobe] > 0:
		return "kprobe", nil
	case plan != PlanAuto && t.options.Conntrack:
		return "", fmt.Errorf("no %s probe could be attached: %w", plan, failed)
	}
	return "tracepoint", nil
}

var (
	errNoFunction = errors.New("the kernel has no such function, or does not show where it is")
	errNoFentry   = errors.New("fentry cannot be attached to it")
)

// attachPair is attachProbe for a function whose entry and exit are both needed.
// Where only one of them can be had neither is of use, but it does no harm.
func (t *Tracer) attachPair(plan Plan, p probe) (Plan, error) {
	switch {
	case p.fentry == "" && plan == PlanFentry:
		return "", fmt.Errorf("probe on %s: %w", p.function, errNoFentry)
	case p.fentry == "":
		return t.attachProbe(PlanKprobe, p)
	case p.fexit == "":
		return t.attachProbe(plan, p)
	}
	if plan != PlanKprobe {
		entry, exit := p, p
		entry.fexit, exit.fentry = "", ""
		err := t.attachTracing(entry)
		if err == nil {
			err = t.attachTracing(exit)
		}
		if err == nil {
			return PlanFentry, nil
		}
		if plan == PlanFentry {
			return "", fmt.Errorf("probe on %s: %w", p.function, err)
		}
	}
	return t.attachProbe(PlanKprobe, p)
}

// ConntrackBaseline is what a CPU's counters in a namespace were when tracing
// began: later values are compared with it.
type ConntrackBaseline struct {
	Netns uint32 // inode
	CPU   uint32

	Invalid, InsertFailed, Drop, EarlyDrop, ClashResolve, ChainTooLong uint32
}

// SetConntrackBaseline is for namespaces that were there before the start: one
// that comes later begins with zeros. A baseline that the kernel side has taken
// meanwhile stands.
func (t *Tracer) SetConntrackBaseline(b ConntrackBaseline) error {
	if t.kernel.parts.maps["ct_baselines"] {
		return nil
	}
	key := bpf.KernelCtBaselineKey{Netns: b.Netns, Cpu: b.CPU}
	value := bpf.KernelCtBaseline{Counter: [6]uint32{
		b.Invalid, b.InsertFailed, b.Drop, b.EarlyDrop, b.ClashResolve, b.ChainTooLong,
	}}
	err := t.kernel.table("ct_baselines").Update(&key, &value, ebpf.UpdateNoExist)
	if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("keep counters of namespace %d: %w", b.Netns, err)
	}
	return nil
}
