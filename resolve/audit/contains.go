package audit

import (
	"bytes"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

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
