package ruleset

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Index looks values up in a set in less than linear time. It is built once and
// may be used by several goroutines.
//
// Values that are alone and prefixes are hashed, one table for each combination
// of prefix lengths (tuple space search); what is left of a set of one field is
// searched in sorted order.
type Index struct {
	elements []Element
	sizes    []int
	size     int
	tables   []prefixTable
	sorted   []int // intervals of one field, apart from each other, by From
	rest     []int // what has no order: looked at one by one
	catchAll *Element
	// certain is false where a value that was not found may be in the set.
	certain bool
	ask     func(value []byte) Found // what was not found; nil for none
}

// prefixTable holds the elements whose fields are fixed in the same bits.
type prefixTable struct {
	mask    []byte
	bits    int
	buckets map[string][]int
}

// Found is an answer of [Index.Lookup].
type Found uint8

const (
	NotFound   Found = iota
	IsFound          // Element says more, unless the kernel was asked
	MaybeThere       // it cannot be told from what was read
)

// soonGone is how long a timeout must have left for an element to count as there.
const soonGone = 5 * time.Second

// NewIndex indexes the set for a lookup of values of these sizes (bytes, one for
// each field of a concatenation).
func NewIndex(s *Set, sizes []int) *Index {
	x := newIndex(s.Elements, sizes)
	x.certain = s.Complete && !s.Dynamic
	if !s.Dynamic {
		x.ask = s.Ask
	}
	return x
}

// NewRangeIndex indexes ranges as if they were a complete set.
func NewRangeIndex(ranges []Range, sizes []int) *Index {
	elements := make([]Element, len(ranges))
	for i, r := range ranges {
		elements[i].Range = r
	}
	x := newIndex(elements, sizes)
	x.certain = true
	return x
}

func newIndex(elements []Element, sizes []int) *Index {
	x := &Index{elements: elements, sizes: sizes}
	for _, n := range sizes {
		x.size += n
	}
	tables := make(map[string]*prefixTable)
	var intervals []int
	for i := range elements {
		e := &elements[i]
		if e.CatchAll {
			x.catchAll = e
			continue
		}
		if len(e.From) != x.size || len(e.To) != x.size {
			x.rest = append(x.rest, i)
			continue
		}
		mask, prefix := signature(e.Range, sizes)
		if len(sizes) == 1 && !prefix {
			intervals = append(intervals, i)
			continue
		}
		t := tables[string(mask)]
		if t == nil {
			t = &prefixTable{mask: mask, buckets: make(map[string][]int)}
			for _, b := range mask {
				t.bits += bits.OnesCount8(b)
			}
			tables[string(mask)] = t
		}
		key := string(masked(e.From, mask))
		t.buckets[key] = append(t.buckets[key], i)
	}
	for _, t := range tables {
		x.tables = append(x.tables, *t)
	}
	// The most specific first, as ipset looks its networks up; nft's elements
	// are apart from each other, where the order has no say.
	slices.SortFunc(x.tables, func(a, b prefixTable) int {
		return cmp.Or(cmp.Compare(b.bits, a.bits), bytes.Compare(b.mask, a.mask))
	})
	x.sortIntervals(intervals)
	return x
}

// signature tells in which bits a range is fixed: in the leading ones of a field
// that is a prefix, in none of a field that is another range. prefix is false
// where a field is such.
func signature(r Range, sizes []int) (mask []byte, prefix bool) {
	mask = make([]byte, len(r.From))
	prefix = true
	at := 0
	for _, n := range sizes {
		from, to := r.From[at:at+n], r.To[at:at+n]
		if !prefixMask(from, to, mask[at:at+n]) {
			clear(mask[at : at+n])
			prefix = false
		}
		at += n
	}
	return mask, prefix
}

func prefixMask(from, to, mask []byte) bool {
	open := false
	for i := range from {
		switch diff := from[i] ^ to[i]; {
		case open:
			if from[i] != 0 || to[i] != 0xff {
				return false
			}
		case diff == 0:
			mask[i] = 0xff
		default:
			if diff&(diff+1) != 0 || from[i]&diff != 0 || to[i]&diff != diff {
				return false
			}
			mask[i] = ^diff
			open = true
		}
	}
	return true
}

func masked(value, mask []byte) []byte {
	out := make([]byte, len(value))
	for i := range value {
		out[i] = value[i] & mask[i]
	}
	return out
}

func (x *Index) sortIntervals(intervals []int) {
	slices.SortFunc(intervals, func(a, b int) int {
		return bytes.Compare(x.elements[a].From, x.elements[b].From)
	})
	for i := 1; i < len(intervals); i++ {
		if bytes.Compare(x.elements[intervals[i-1]].To, x.elements[intervals[i]].From) >= 0 {
			x.rest = append(x.rest, intervals...)
			return
		}
	}
	x.sorted = intervals
}

// Lookup looks a value up: the fields' bytes behind each other.
func (x *Index) Lookup(value []byte) (*Element, Found) {
	if e := x.find(value); e != nil {
		return e, e.found()
	}
	if x.catchAll != nil {
		if x.certain {
			return x.catchAll, x.catchAll.found()
		}
		return x.catchAll, MaybeThere
	}
	if !x.certain {
		if x.ask != nil && len(value) == x.size {
			return nil, x.ask(value)
		}
		return nil, MaybeThere
	}
	return nil, NotFound
}

func (e *Element) found() Found {
	switch {
	case e.NoMatch:
		return NotFound
	case e.Opaque != nil, e.Expires > 0 && e.Expires < soonGone:
		return MaybeThere
	}
	return IsFound
}

func (x *Index) find(value []byte) *Element {
	if len(value) != x.size {
		return nil
	}
	var room [64]byte
	key := room[:]
	if len(value) > len(room) {
		key = make([]byte, len(value))
	}
	key = key[:len(value)]
	for i := range x.tables {
		t := &x.tables[i]
		for j := range value {
			key[j] = value[j] & t.mask[j]
		}
		for _, n := range t.buckets[string(key)] {
			if x.holds(n, value) {
				return &x.elements[n]
			}
		}
	}
	if n, ok := x.search(value); ok {
		return &x.elements[n]
	}
	for _, n := range x.rest {
		if x.holds(n, value) {
			return &x.elements[n]
		}
	}
	return nil
}

func (x *Index) search(value []byte) (int, bool) {
	n, _ := slices.BinarySearchFunc(x.sorted, value, func(n int, v []byte) int {
		return bytes.Compare(x.elements[n].To, v)
	})
	if n == len(x.sorted) || bytes.Compare(x.elements[x.sorted[n]].From, value) > 0 {
		return 0, false
	}
	return x.sorted[n], true
}

// holds compares field by field: a concatenation's ranges are one for each field.
func (x *Index) holds(n int, value []byte) bool {
	e := &x.elements[n]
	if len(e.From) != len(value) || len(e.To) != len(value) {
		return false
	}
	at := 0
	for _, size := range x.sizes {
		v := value[at : at+size]
		if bytes.Compare(e.From[at:at+size], v) > 0 || bytes.Compare(e.To[at:at+size], v) < 0 {
			return false
		}
		at += size
	}
	return true
}
