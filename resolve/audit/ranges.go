package audit

import (
	"bytes"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func inRanges(ranges []ruleset.Range, value []byte) bool {
	return slices.ContainsFunc(ranges, func(r ruleset.Range) bool {
		return bytes.Compare(r.From, value) <= 0 && bytes.Compare(value, r.To) <= 0
	})
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
