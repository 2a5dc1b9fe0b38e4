package tracer

import (
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
)

// Counts are the fates of drops since the start, summed over CPUs: Seen =
// Members + FilteredKernel + Lost + Delivered. Its order is that of enum count
// in bpf/config.h.
type Counts struct {
	Seen           uint64
	FilteredKernel uint64
	Lost           uint64 // no room in the ring
	Delivered      uint64
	Members        uint64 // fragments freed with a head already told
	Nested         uint64 // runs skipped because too many were under way
	Undecided      uint64 // among FilteredKernel: the expression looks at bytes that could not be read

	// Conntrack failures that are no drops: not part of Seen.
	Failures         uint64
	FailuresFiltered uint64
	FailuresLost     uint64
	FailuresSent     uint64
	FailuresNested   uint64 // runs of their probes that the kernel skipped
}

// Counts reads the kernel side's counters.
func (t *Tracer) Counts() (Counts, error) {
	var c Counts
	for i, dst := range []*uint64{
		&c.Seen, &c.FilteredKernel, &c.Lost, &c.Delivered, &c.Members, &c.Nested, &c.Undecided,
		&c.Failures, &c.FailuresFiltered, &c.FailuresLost, &c.FailuresSent,
	} {
		var perCPU []uint64
		if err := t.kernel.table("counts").Lookup(uint32(i), &perCPU); err != nil {
			return Counts{}, fmt.Errorf("read counter %d: %w", i, err)
		}
		for _, n := range perCPU {
			*dst += n
		}
	}
	c.Nested += t.skipped() - t.skippedBefore
	c.FailuresNested = t.recorders.misses()
	return c, nil
}

// skipped counts the drops for which the kernel did not run the program, because it
// had interrupted it (6.1).
func (t *Tracer) skipped() uint64 {
	stats, err := t.kernel.Free.Stats()
	if err != nil {
		return 0
	}
	return stats.RecursionMisses
}

// recorders are programs on probes that make records of their own. The kernel skips
// a run where one interrupts another of the same program (of any kprobe's, for those)
// and counts it (5.12; for kprobes 6.7).
type recorders struct {
	mu       sync.Mutex
	programs []*ebpf.Program
}

func (r *recorders) add(p *ebpf.Program) error {
	own, err := p.Clone()
	if err != nil {
		return fmt.Errorf("keep program: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.programs = append(r.programs, own)
	return nil
}

func (r *recorders) misses() (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.programs {
		if stats, err := p.Stats(); err == nil {
			n += stats.RecursionMisses
		}
	}
	return n
}

func (r *recorders) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.programs {
		p.Close()
	}
	r.programs = nil
}
