package tracer

import "fmt"

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
	lost := t.earlyLost.Load()
	c.Lost += lost
	c.Delivered -= lost
	if stats, err := t.kernel.Free.Stats(); err == nil {
		c.Nested += stats.RecursionMisses
	}
	return c, nil
}
