package tracer

import (
	"math/bits"
	"os"

	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// Options say what to trace and how.
type Options struct {
	// Filter is a struct filter_config (tracer/filter.Kernel); nil passes all.
	Filter any
	// Expression narrows what Filter passes; nil passes all. Where this kernel
	// refuses it, ExpressionInKernel says so and the caller has to run it on
	// each event, which then carries as many bytes as it looks at.
	Expression *expression.Program
	// Symbols of the running kernel.
	Symbols Symbols
	// BTF of the running kernel and its modules: reading it takes longer than most
	// else, so it is read once.
	BTF *btf.Cache
	// BufferSize of the ring in bytes, rounded up to a power of two pages;
	// 0 is 16 MiB.
	BufferSize int
	// Plan says which probes; empty is PlanAuto.
	Plan Plan
	// Stack adds the kernel stack to each event.
	Stack bool
	// Snaplen is how many bytes of a packet an event carries in Data, from the
	// link-layer header on where the packet has one, at most MaxSnaplen; 0: none.
	Snaplen int
	// Conntrack traces only conntrack failures, with the probes that tell who
	// evicted whom.
	Conntrack bool
	// Resolved adds clashes that the kernel resolved: nothing was lost.
	Resolved bool
	// Stolen adds SYNs that synproxy answers: they were not lost.
	Stolen bool
	// Arrivals counts packets that match, dropped or not: each packet pays for it.
	Arrivals bool
	// machine is the running kernel where nil.
	machine machine
	// XTCapacity bounds the legacy entries watched on the whole machine;
	// 0 is 16,384. Each costs 40 bytes, and 24 more per CPU.
	XTCapacity int
}

// MaxSnaplen is tcpdump's: no packet is longer but for BIG TCP's.
const MaxSnaplen = 1 << 18

func (o *Options) kernel() machine {
	if o.machine == nil {
		return runningMachine{}
	}
	return o.machine
}

func (o *Options) snaplen() uint32 {
	return uint32(min(max(o.Snaplen, 0), MaxSnaplen))
}

func (o *Options) bufferSize() uint32 {
	const records = 4 // of the longest that must find room
	size := o.BufferSize
	if size <= 0 {
		size = 16 << 20
	}
	size = max(size, os.Getpagesize(), records*int(o.snaplen()))
	return 1 << bits.Len32(uint32(size-1))
}

func (o *Options) xtCapacity() uint32 {
	if o.XTCapacity <= 0 {
		return 16384
	}
	return uint32(o.XTCapacity)
}
