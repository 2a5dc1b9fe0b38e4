package tracer

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/droptrace/droptrace/bpf"
)

// ErrTableChanged is returned by Track where the kernel's table is no longer
// the one described: read it again.
var ErrTableChanged = errors.New("table changed while it was read")

// ErrXTCapacity is returned by Track where no room is left to watch a table's
// entries; its drops are then told without their rule.
var ErrXTCapacity = errors.New("too many drop rules to watch")

// XTTable says which counters of an iptables-legacy table to watch.
type XTTable struct {
	Family     uint8     // NFPROTO_IPV4 or NFPROTO_IPV6
	Name       string    // filter, raw, ...
	ValidHooks uint32    // bit per hook
	Size       uint32    // of the blob in bytes (ipt_getinfo.size)
	Number     uint32    // of its entries
	Drops      []XTEntry // by offset
}

// XTEntry is an entry whose counter moves only for packets about to die.
type XTEntry struct {
	Offset uint32 // in the blob
	Hooks  uint8  // bit per hook from which it is reached
}

// baselineStep is XT_MAX_WATCHED_UNROLLED of bpf/xt_counter.h.
const baselineStep = 256

// xtAllocator hands out ranges of the watch map.
type xtAllocator struct {
	mu     sync.Mutex
	size   uint32
	ranges map[uint64]xtRange // by struct xt_table *
	serial uint64             // of the last range
}

type xtRange struct {
	first, number uint32
	serial        uint64
}

func newXTAllocator(size uint32) xtAllocator {
	return xtAllocator{size: size, ranges: make(map[uint64]xtRange)}
}

// allocate returns the lowest gap that is wide enough.
func (a *xtAllocator) allocate(table uint64, number uint32) (uint32, error) {
	delete(a.ranges, table)
	for first := uint32(0); first+number <= a.size; {
		clash := false
		for _, r := range a.ranges {
			if first < r.first+r.number && r.first < first+number {
				first, clash = r.first+r.number, true
				break
			}
		}
		if !clash {
			a.serial++
			a.ranges[table] = xtRange{first, number, a.serial}
			return first, nil
		}
	}
	return 0, ErrXTCapacity
}

// Track watches a table's counters from now on. do must run its argument on a
// thread inside the table's network namespace.
func (t *Tracer) Track(do func(func() error) error, x *XTTable) (*WatchedTable, error) {
	if t.unknown.xt != nil {
		return nil, t.unknown.xt
	}
	t.xt.mu.Lock()
	defer t.xt.mu.Unlock()
	programs, err := t.kernel.legacy()
	if err != nil {
		return nil, err
	}
	found, err := t.findXT(programs.Find, do, x)
	if err == nil {
		err = t.track(programs.Baseline, found, x)
	}
	if err != nil {
		return nil, fmt.Errorf("watch table %s: %w", x.Name, err)
	}
	look := func() (*bpf.KernelXtQuery, error) { return t.findXT(programs.Find, do, x) }
	return &WatchedTable{t, found.Table, found.Private, look, t.xt.ranges[found.Table]}, nil
}

// WatchedTable is a table whose counters are watched.
type WatchedTable struct {
	tracer *Tracer
	table  uint64 // struct xt_table *
	blob   uint64 // struct xt_table_info *
	look   func() (*bpf.KernelXtQuery, error)
	xtRange
}

// Address is that of the table's blob (struct xt_table_info), which the events of
// its drops carry.
func (w *WatchedTable) Address() uint64 { return w.blob }

// Replaced asks the kernel whether another blob has taken the table's place, without
// reading either. False is no proof: memory is given out again. What cannot be asked
// counts as replaced.
func (w *WatchedTable) Replaced() bool {
	w.tracer.xt.mu.Lock()
	defer w.tracer.xt.mu.Unlock()
	found, err := w.look()
	return err != nil || found.Private != w.blob
}

// Forget ends the watch, unless the table was given to Track again.
func (w *WatchedTable) Forget() {
	a := &w.tracer.xt
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ranges[w.table] != w.xtRange {
		return
	}
	delete(a.ranges, w.table)
	_ = w.tracer.kernel.table("xt_tables").Delete(w.table) // closed, or of no entry
}

// Print returns the kernel side's number for the bytes of the entry at an offset,
// which events carry too. It is 0 for an entry that is not watched, and once the
// table was given to Track again.
func (w *WatchedTable) Print(offset uint32) uint64 {
	a := &w.tracer.xt
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ranges[w.table] != w.xtRange {
		return 0
	}
	var entry bpf.KernelXtWatched
	number, watch := int(w.number), w.tracer.kernel.table("xt_watch")
	i := sort.Search(number, func(i int) bool { // Track was given them by offset
		return watch.Lookup(w.first+uint32(i), &entry) != nil || entry.Offset >= offset
	})
	if i == number || watch.Lookup(w.first+uint32(i), &entry) != nil || entry.Offset != offset {
		return 0
	}
	return entry.Print
}

func (t *Tracer) track(baseline *ebpf.Program, found *bpf.KernelXtQuery, x *XTTable) error {
	tables := t.kernel.table("xt_tables")
	if err := tables.Delete(found.Table); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget its old entries: %w", err)
	}
	first, err := t.xt.allocate(found.Table, uint32(len(x.Drops)))
	if err != nil {
		return err
	}
	for i, e := range x.Drops {
		w := bpf.KernelXtWatched{Offset: e.Offset, Hooks: uint32(e.Hooks)}
		if err := t.kernel.table("xt_watch").Put(first+uint32(i), &w); err != nil {
			return fmt.Errorf("watch entry at %d: %w", e.Offset, err)
		}
	}
	tracked := bpf.KernelXtTracked{
		Private: found.Private, First: first, Number: uint32(len(x.Drops)),
		Size: x.Size, Entries: x.Number, Af: uint32(x.Family),
	}
	if err := tables.Put(found.Table, &tracked); err != nil {
		return err
	}
	if err := takeBaseline(baseline, found.Table, len(x.Drops)); err != nil {
		return err
	}
	tracked.Ready = 1
	return tables.Put(found.Table, &tracked)
}

// findXT asks the kernel side for the table's address and checks that it is the
// one described.
func (t *Tracer) findXT(find *ebpf.Program, do func(func() error) error, x *XTTable) (*bpf.KernelXtQuery, error) {
	query := bpf.KernelXtQuery{
		Pf: uint32(x.Family), Hook: uint32(bits.TrailingZeros32(x.ValidHooks)),
	}
	for i := range min(len(x.Name), len(query.Name)-1) {
		query.Name[i] = int8(x.Name[i])
	}
	queries := t.kernel.table("xt_queries")
	if err := queries.Put(uint32(0), &query); err != nil {
		return nil, err
	}
	err := do(func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, err := find.Run(&ebpf.RunOptions{Context: [1]uint64{}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find it in the kernel: %w", err)
	}
	if err := queries.Lookup(uint32(0), &query); err != nil {
		return nil, err
	}
	if query.Table == 0 || query.Size != x.Size || query.Number != x.Number {
		return nil, ErrTableChanged
	}
	return &query, nil
}

// takeBaseline takes the counters of every CPU as they are now.
func takeBaseline(program *ebpf.Program, table uint64, entries int) error {
	const runOnCPU = 1 // BPF_F_TEST_RUN_ON_CPU, 5.10 and later
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	for _, cpu := range cpus {
		for from := 0; from < entries; from += baselineStep {
			_, err := program.Run(&ebpf.RunOptions{
				Context: [3]uint64{table, uint64(from), uint64(entries)},
				Flags:   runOnCPU, CPU: uint32(cpu),
			})
			// A CPU that went offline meanwhile drops nothing.
			if err != nil && !errors.Is(err, os.ErrInvalid) {
				return fmt.Errorf("read counters of CPU %d: %w", cpu, err)
			}
		}
	}
	return nil
}

// onlineCPUs parses /sys/devices/system/cpu/online: 0-3,8.
func onlineCPUs() ([]int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, fmt.Errorf("list CPUs: %w", err)
	}
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		from, err1 := strconv.Atoi(lo)
		to, err2 := strconv.Atoi(hi)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("list CPUs: %w", err)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
