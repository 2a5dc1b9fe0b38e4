package tracer

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/droptrace/droptrace/bpf"
)

// programs are those of bpf/droptrace.bpf.c that every plan needs.
type programs struct {
	Free      *ebpf.Program
	Companion *ebpf.Program
}

// legacyPrograms are for iptables-legacy.
type legacyPrograms struct{ Find, Baseline *ebpf.Program }

// kernelSide is the loaded collection.
type kernelSide struct {
	coll  *ebpf.Collection
	spec  *ebpf.CollectionSpec      // with all programs, maps sized and constants set
	types atomic.Pointer[btf.Cache] // renewed by Refresh
	programs
	// legacy loads its programs when it is first called: the verifier needs as
	// long for them as for all the rest.
	legacy  func() (legacyPrograms, error)
	ahead   sync.WaitGroup
	entered atomic.Bool // legacy was called
	// kprobes are the programs on kprobes, by name: not bound to a function, one
	// serves many.
	kprobes map[string]*ebpf.Program
	machine machine
	parts   parts // what the kernel refused
	doubts  doubts
}

func (k *kernelSide) Close() {
	k.ahead.Wait()
	if k.entered.Load() {
		if p, err := k.legacy(); err == nil {
			p.Find.Close()
			p.Baseline.Close()
		}
	}
	for _, p := range k.kprobes {
		p.Close()
	}
	if k.Companion != nil {
		k.Companion.Close()
	}
	k.coll.Close()
}

// loadAhead loads the programs for iptables-legacy beside what else is to be done.
// Nothing else may read the kernel's types meanwhile: those of a module lead into
// those of the kernel without their lock (cilium/ebpf 0.22, btf.decoder.inflateType),
// and two readers of the kernel's crash.
func (k *kernelSide) loadAhead() {
	k.ahead.Go(func() { _, _ = k.legacy() })
}

func (k *kernelSide) loadLegacy() (p legacyPrograms, err error) {
	k.entered.Store(true)
	if p.Find, err = k.loadProbe("xt_find", ""); err != nil {
		return p, err
	}
	p.Baseline, err = k.loadProbe("xt_baseline", "")
	return p, err
}

func (k *kernelSide) table(name string) *ebpf.Map { return k.coll.Maps[name] }

// loadWithExpression loads the kernel side, without the expression where the
// kernel refuses that one: it is long, or of a kind that no verifier follows.
func loadWithExpression(o *Options) (k *kernelSide, refused, err error) {
	k, err = load(o)
	if err == nil || o.Expression == nil {
		return k, nil, err
	}
	refused = err
	o.Snaplen = max(o.Snaplen, o.Expression.Depth())
	o.Expression = nil
	k, err = load(o)
	return k, refused, err
}

// load loads the kernel side as this kernel can take it.
func load(o *Options) (*kernelSide, error) {
	// Kernels before 5.11 charge programs and maps to the user's memlock limit,
	// other programs' too: before the first probe.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise memlock limit: %w", err)
	}
	spec, err := o.kernel().types(o.BTF).Kernel()
	if err != nil {
		return nil, fmt.Errorf("read kernel types: %w", err)
	}
	coll, err := bpf.LoadKernel()
	if err != nil {
		return nil, fmt.Errorf("read embedded programs: %w", err)
	}
	if err := setConstants(coll, o, spec); err != nil {
		return nil, err
	}
	if err := sizeMaps(coll, o); err != nil {
		return nil, err
	}
	if o.Expression != nil {
		cpus, err := ebpf.PossibleCPU()
		if err != nil {
			return nil, fmt.Errorf("count possible CPUs: %w", err)
		}
		if err := o.Expression.Inject(coll, bpf.Levels*uint32(cpus)); err != nil {
			return nil, err
		}
	}
	k := &kernelSide{machine: o.kernel(), spec: coll}
	k.types.Store(o.BTF)
	k.legacy = sync.OnceValues(k.loadLegacy)
	if err := k.loadEmitter(chooseEmitters(o, spec)); err != nil {
		return nil, err
	}
	return k, nil
}

// only copies what the named programs need.
func only(all *ebpf.CollectionSpec, names ...string) *ebpf.CollectionSpec {
	part := *all
	part.Programs = make(map[string]*ebpf.ProgramSpec)
	for _, name := range names {
		part.Programs[name] = all.Programs[name]
	}
	return part.Copy()
}

func setConstants(coll *ebpf.CollectionSpec, o *Options, spec *btf.Spec) error {
	arguments, err := tracepointArguments(spec)
	if err != nil {
		arguments = 2 // those that it always had
	}
	for name, value := range map[string]any{
		"has_reason":    arguments >= 3,
		"has_receiver":  arguments >= 4,
		"with_stack":    o.Stack,
		"snaplen":       o.snaplen(),
		"xt_capacity":   o.xtCapacity(),
		"address_shift": addressShift(),
		"direct_reads":  readsDirectly(coll, spec),

		"conntrack_only": o.Conntrack,
		"show_resolved":  o.Resolved,
	} {
		if err := coll.Variables[name].Set(value); err != nil {
			return fmt.Errorf("constant %s: %w", name, err)
		}
	}
	if err := setProcessorConstants(coll, o.Symbols); err != nil {
		return err
	}
	if o.Filter == nil {
		return nil
	}
	if err := coll.Variables["filter"].Set(o.Filter); err != nil {
		return fmt.Errorf("constant filter: %w", err)
	}
	return nil
}

// readsDirectly reports whether this kernel gives types to addresses (6.2). Where it
// does not, no program may name the function: it would be sought in every module.
func readsDirectly(coll *ebpf.CollectionSpec, spec *btf.Spec) bool {
	const function = "bpf_rdonly_cast"
	if described, _ := defines(spec, "timespec64"); described && hasFunction(spec, function) {
		return true
	}
	for _, p := range coll.Programs {
		for i := range p.Instructions {
			if ins := &p.Instructions[i]; ins.IsKfuncCall() && ins.Reference() == function {
				*ins = asm.Mov.Reg(asm.R0, asm.R1)
			}
		}
	}
	return false
}

// tracepointArguments counts those of skb:kfree_skb: packet and location; the
// reason since 5.17, the receiving socket since 6.11.
func tracepointArguments(spec *btf.Spec) (int, error) {
	found, err := spec.AnyTypesByName("btf_trace_kfree_skb")
	if err != nil {
		return 0, fmt.Errorf("tracepoint skb:kfree_skb: %w", err)
	}
	arguments := -1
	for _, t := range found {
		n, err := countArguments(t)
		if err == nil && arguments >= 0 && n != arguments {
			err = errDefinitionsDiffer
		}
		if err != nil {
			return 0, fmt.Errorf("tracepoint skb:kfree_skb: %w", err)
		}
		arguments = n
	}
	return arguments, nil
}

// countArguments takes typedef void (*btf_trace_NAME)(void *, ...).
func countArguments(t btf.Type) (int, error) {
	pointer, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return 0, fmt.Errorf("unexpected type %v", t)
	}
	proto, ok := pointer.Target.(*btf.FuncProto)
	if !ok {
		return 0, fmt.Errorf("unexpected type %v", pointer.Target)
	}
	return len(proto.Params) - 1, nil // the first is the tracepoint's own data
}

// hasFunction reports whether the kernel's own types name the function, once or
// several times.
func hasFunction(spec *btf.Spec, name string) bool {
	found, err := spec.AnyTypesByName(name)
	return err == nil && slices.ContainsFunc(found, func(t btf.Type) bool {
		_, ok := t.(*btf.Func)
		return ok
	})
}

func sizeMaps(coll *ebpf.CollectionSpec, o *Options) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count possible CPUs: %w", err)
	}
	coll.Maps["events"].MaxEntries = o.bufferSize()
	if !o.Arrivals {
		coll.Maps["arrivals"].MaxEntries = 1
	}
	coll.Maps["xt_watch"].MaxEntries = o.xtCapacity()
	coll.Maps["xt_values"].MaxEntries = o.xtCapacity() * uint32(cpus)
	if n := o.snaplen(); n > 0 {
		records := coll.Maps["records"]
		records.MaxEntries = bpf.Levels * uint32(cpus)
		records.ValueSize += n                // the kernel rounds up to eight
		records.Key, records.Value = nil, nil // they tell another size
	}
	return nil
}

// addressShift counts the bits of a kernel address that are not all ones.
// /proc/cpuinfo shows la57 only where the kernel uses five-level paging.
func addressShift() uint32 {
	if runtime.GOARCH == "arm64" {
		return 52
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil && bytes.Contains(info, []byte(" la57")) {
		return 56
	}
	return 47
}
