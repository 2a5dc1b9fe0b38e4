package audit

import (
	"math/bits"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
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

// fieldKey makes fields comparable.
func fieldKey(fields []ruleset.Field) string {
	b := make([]byte, 0, 4*len(fields))
	for _, f := range fields {
		b = append(b, byte(f>>24), byte(f>>16), byte(f>>8), byte(f))
	}
	return string(b)
}
