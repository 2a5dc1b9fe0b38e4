package tracer

import (
	"encoding/binary"
	"fmt"

	"github.com/droptrace/droptrace/bpf"
	"github.com/droptrace/droptrace/tracer/event"
)

// LossKey tells kinds of lost drops apart: those of one key have the same rule,
// place and reason.
type LossKey = bpf.KernelLossKey

// LossFlags are the flags of a record that a LossKey holds.
const LossFlags = event.Flag(bpf.KernelLossFlagLOSS_FLAGS)

// Losses calls each with every kind of drop that found no room in the ring: how
// many were lost so far, and the first of them, which each must not keep. The
// counts add up to Counts.Lost, but for kinds beyond those that it has room for.
func (t *Tracer) Losses(each func(k LossKey, n uint64, first *event.Event)) error {
	const count = 8 // bytes before the record
	var (
		key   LossKey
		value []byte
		first event.Event
	)
	if t.kernel.parts.maps["losses"] {
		return nil
	}
	losses := t.kernel.table("losses").Iterate()
	for losses.Next(&key, &value) {
		if err := first.Decode(value[count:]); err != nil {
			return fmt.Errorf("read totals of lost drops: %w", err)
		}
		each(key, binary.NativeEndian.Uint64(value), &first)
	}
	if err := losses.Err(); err != nil {
		return fmt.Errorf("read totals of lost drops: %w", err)
	}
	return nil
}
