package audit

import (
	"bytes"
	"math/bits"
	"slices"

	"github.com/droptrace/droptrace/resolve/ruleset"
)

// values is the set of values for which one match holds. Its methods answer
// exactly or not at all: "not contained" may mean "not known".
type values struct {
	fields []ruleset.Field
	key    string // of fields
	kind   valuesKind

	bits   [4]uint64       // one byte, or conntrack's state
	ranges []ruleset.Range // sorted, apart, without holes in between; one field
	mask   []byte          // of masked: value AND mask is, or is not, in ranges
	set    *ruleset.Set    // of named: an identity, since its elements change
	negate bool            // of masked and named
}

type valuesKind uint8

const (
	byteValues   valuesKind = iota + 1 // bits
	rangeValues                        // ranges
	maskedValues                       // ranges under a mask
	namedValues                        // set
	tupleValues                        // ranges of a concatenation
)

// maxElements bounds the elements of a set that are looked at one by one.
const maxElements = 4096

// valuesOf reads a match; ok is false where it cannot be told exactly.
func valuesOf(m *ruleset.Match) (v values, ok bool) {
	v.fields, v.negate = m.Fields, m.Negate
	v.key = fieldKey(m.Fields)
	size := 0
	for _, f := range m.Fields {
		size += f.Size()
	}
	ranges, named, ok := matchRanges(m, size)
	switch {
	case !ok:
		return v, false
	case named:
		v.kind, v.set = namedValues, m.Set
		return v, m.Mask == nil
	case len(m.Fields) != 1:
		v.kind, v.ranges = tupleValues, ranges
		return v, m.Mask == nil && !m.Negate
	case size == 1 || m.Fields[0] == ruleset.CTState:
		v.kind = byteValues
		v.bits = byteSet(m, ranges, m.Fields[0] == ruleset.CTState)
		v.negate = false
		return v, true
	}
	return v.masked(m.Mask, ranges), true
}

// matchRanges are the values of a match, or named where it is a set that may
// change by itself.
func matchRanges(m *ruleset.Match, size int) (ranges []ruleset.Range, named, ok bool) {
	ranges = m.Ranges
	if m.Set != nil {
		if !m.Set.Anonymous {
			return nil, true, true
		}
		if !m.Set.Complete || m.Set.Dynamic || len(m.Set.Elements) > maxElements {
			return nil, false, false
		}
		ranges = make([]ruleset.Range, 0, len(m.Set.Elements))
		for _, e := range m.Set.Elements {
			if e.NoMatch || e.CatchAll || e.Opaque != nil || e.Expires != 0 {
				return nil, false, false
			}
			ranges = append(ranges, e.Range)
		}
	}
	if len(ranges) == 0 {
		return nil, false, false // nothing would match: not what anybody wrote
	}
	for _, r := range ranges {
		if len(r.From) != size || len(r.To) != size {
			return nil, false, false
		}
	}
	return ranges, false, m.Mask == nil || len(m.Mask) == size
}

// byteSet goes through all values that the field may have.
func byteSet(m *ruleset.Match, ranges []ruleset.Range, state bool) (set [4]uint64) {
	last := func(b []byte) byte { return b[len(b)-1] }
	for n := range 256 {
		// nft_ct_get_eval sets one bit of the state.
		if state && (bits.OnesCount8(uint8(n)) != 1 || n&(1<<4|1<<5|1<<7) != 0) {
			continue
		}
		value := make([]byte, m.Fields[0].Size())
		value[len(value)-1] = byte(n)
		if m.Mask != nil {
			value[len(value)-1] &= last(m.Mask)
		}
		if inRanges(ranges, value) != m.Negate {
			set[n>>6] |= 1 << (n & 63)
		}
	}
	return set
}

func inRanges(ranges []ruleset.Range, value []byte) bool {
	return slices.ContainsFunc(ranges, func(r ruleset.Range) bool {
		return bytes.Compare(r.From, value) <= 0 && bytes.Compare(value, r.To) <= 0
	})
}

// masked turns a mask that only shortens an address into ranges.
func (v values) masked(mask []byte, ranges []ruleset.Range) values {
	v.kind = rangeValues
	if mask != nil && !allOnes(mask) {
		length, prefix := prefixLength(mask)
		if !prefix {
			v.kind, v.mask, v.ranges = maskedValues, mask, normalize(ranges)
			return v
		}
		wide := make([]ruleset.Range, 0, len(ranges))
		for _, r := range ranges {
			from, ok := underPrefix(r, length)
			if !ok { // a range of masked values: holes where bits are masked
				v.kind, v.mask, v.ranges = maskedValues, mask, normalize(ranges)
				return v
			}
			wide = append(wide, from)
		}
		ranges = wide
	}
	v.ranges = normalize(ranges)
	if v.negate {
		v.ranges, v.negate = complement(v.ranges, v.fields[0].Size()), false
	}
	return v
}

// underPrefix widens a range of network numbers to all their addresses. A number
// with bits below the prefix is never what a masked value is; such ranges are
// left alone.
func underPrefix(r ruleset.Range, length int) (ruleset.Range, bool) {
	low := hostBits(len(r.From), length)
	to := slices.Clone(r.To)
	for i := range low {
		if r.From[i]&low[i] != 0 || r.To[i]&low[i] != 0 {
			return r, false
		}
		to[i] |= low[i]
	}
	return ruleset.Range{From: r.From, To: to}, true
}

// hostBits has the bits below a prefix set.
func hostBits(size, length int) []byte {
	low := make([]byte, size)
	for i := length; i < size*8; i++ {
		low[i/8] |= 0x80 >> (i % 8)
	}
	return low
}

func allOnes(mask []byte) bool {
	return !slices.ContainsFunc(mask, func(b byte) bool { return b != 0xff })
}

// prefixLength of a mask that is ones, then zeros.
func prefixLength(mask []byte) (int, bool) {
	n := 0
	for n < len(mask)*8 && mask[n/8]&(0x80>>(n%8)) != 0 {
		n++
	}
	return n, bytes.Equal(hostBits(len(mask), n), invert(mask))
}

func invert(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = ^b[i]
	}
	return out
}

// normalize sorts ranges and joins those that touch.
func normalize(ranges []ruleset.Range) []ruleset.Range {
	if len(ranges) < 2 {
		return ranges
	}
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b ruleset.Range) int { return bytes.Compare(a.From, b.From) })
	out := sorted[:1]
	for _, r := range sorted[1:] {
		last := &out[len(out)-1]
		if next, more := successor(last.To); !more || bytes.Compare(r.From, next) <= 0 {
			if bytes.Compare(r.To, last.To) > 0 {
				last.To = r.To
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// complement of normalized ranges.
func complement(ranges []ruleset.Range, size int) []ruleset.Range {
	var out []ruleset.Range
	from, more := make([]byte, size), true
	for _, r := range ranges {
		if bytes.Compare(from, r.From) < 0 {
			before, _ := predecessor(r.From)
			out = append(out, ruleset.Range{From: from, To: before})
		}
		if from, more = successor(r.To); !more {
			return out
		}
	}
	return append(out, ruleset.Range{From: from, To: bytes.Repeat([]byte{0xff}, size)})
}

// successor is the next number; more is false behind the last.
func successor(b []byte) (next []byte, more bool) {
	next = slices.Clone(b)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next, true
		}
	}
	return next, false
}

func predecessor(b []byte) (before []byte, more bool) {
	before = slices.Clone(b)
	for i := len(before) - 1; i >= 0; i-- {
		if before[i]--; before[i] != 0xff {
			return before, true
		}
	}
	return before, false
}

// contains reports whether all values of w are values of v.
func (v *values) contains(w *values) bool {
	if v.key != w.key {
		return false
	}
	switch {
	case v.kind == byteValues && w.kind == byteValues:
		for i := range v.bits {
			if w.bits[i]&^v.bits[i] != 0 {
				return false
			}
		}
		return true
	case v.kind == rangeValues && w.kind == rangeValues:
		return rangesContain(v.ranges, w.ranges)
	case v.kind == tupleValues && w.kind == tupleValues:
		return tuplesContain(v.fields, v.ranges, w.ranges)
	case v.kind == namedValues && w.kind == namedValues:
		return v.set == w.set && v.negate == w.negate
	case v.kind == maskedValues && w.kind == maskedValues && bytes.Equal(v.mask, w.mask):
		return v.sameMaskContains(w)
	case v.kind == maskedValues:
		return v.maskedContains(w)
	}
	return false
}

// rangesContain: both normalized.
func rangesContain(outer, inner []ruleset.Range) bool {
	i := 0
	for _, r := range inner {
		for i < len(outer) && bytes.Compare(outer[i].To, r.From) < 0 {
			i++
		}
		if i == len(outer) || bytes.Compare(outer[i].From, r.From) > 0 || bytes.Compare(outer[i].To, r.To) < 0 {
			return false
		}
	}
	return true
}

// tuplesContain: each inner element lies, field by field, in one outer element.
func tuplesContain(fields []ruleset.Field, outer, inner []ruleset.Range) bool {
	if len(outer)*len(inner) > maxElements {
		return false
	}
	for _, r := range inner {
		if !slices.ContainsFunc(outer, func(o ruleset.Range) bool { return tupleContains(fields, o, r) }) {
			return false
		}
	}
	return true
}

func tupleContains(fields []ruleset.Field, outer, inner ruleset.Range) bool {
	at := 0
	for _, f := range fields {
		end := at + f.Size()
		if bytes.Compare(outer.From[at:end], inner.From[at:end]) > 0 || bytes.Compare(outer.To[at:end], inner.To[at:end]) < 0 {
			return false
		}
		at = end
	}
	return true
}

func (v *values) sameMaskContains(w *values) bool {
	size := len(v.mask)
	outer, inner := v.ranges, w.ranges
	if v.negate {
		outer = complement(outer, size)
	}
	if w.negate {
		inner = complement(inner, size)
	}
	return rangesContain(outer, inner)
}

// maskedContains serves a single value of w that fixes all bits of v's mask.
func (v *values) maskedContains(w *values) bool {
	if len(w.ranges) != 1 || !bytes.Equal(w.ranges[0].From, w.ranges[0].To) {
		return false
	}
	fixed := bytes.Repeat([]byte{0xff}, len(v.mask))
	switch {
	case w.kind == maskedValues && !w.negate:
		fixed = w.mask
	case w.kind != rangeValues:
		return false
	}
	value := make([]byte, len(v.mask))
	for i := range value {
		if v.mask[i]&^fixed[i] != 0 {
			return false
		}
		value[i] = w.ranges[0].From[i] & v.mask[i]
	}
	return inRanges(v.ranges, value) != v.negate
}

// apart reports whether no value is in both.
func (v *values) apart(w *values) bool {
	if v.key != w.key {
		return false
	}
	switch {
	case v.kind == byteValues && w.kind == byteValues:
		for i := range v.bits {
			if v.bits[i]&w.bits[i] != 0 {
				return false
			}
		}
		return true
	case v.kind == rangeValues && w.kind == rangeValues:
		return rangesContain(complement(v.ranges, v.fields[0].Size()), w.ranges)
	case v.kind == namedValues && w.kind == namedValues:
		return v.set == w.set && v.negate != w.negate
	}
	return false
}

// fieldKey makes fields comparable.
func fieldKey(fields []ruleset.Field) string {
	b := make([]byte, 0, 4*len(fields))
	for _, f := range fields {
		b = append(b, byte(f>>24), byte(f>>16), byte(f>>8), byte(f))
	}
	return string(b)
}
