package statement

import (
	"bytes"
	"slices"
)

// Slot is one part of a set's key as a rule puts it into registers.
type Slot struct {
	// Width in the register and Size of the field, in bytes.
	Width, Size int
	// Swapped, Front and Shift as in a value.
	Swapped, Front bool
	Shift          int
}

// Layout is how a set's keys become values of the fields that a rule looks up. A
// set holds plain bytes: only the rules that ask it tell what they mean.
type Layout []Slot

func (l Layout) equal(other Layout) bool { return slices.Equal(l, other) }

// ordered reports whether the layout keeps the order of keys, so that an interval
// of keys is an interval of values.
func (l Layout) ordered() bool {
	return !slices.ContainsFunc(l, func(s Slot) bool { return s.Swapped && s.Width > 1 })
}

// shifted reports whether keys are parts of fields.
func (l Layout) shifted() bool {
	return slices.ContainsFunc(l, func(s Slot) bool { return s.Shift > 0 })
}

// size is the length of the values, in bytes.
func (l Layout) size() int {
	n := 0
	for _, s := range l {
		n += s.Size
	}
	return n
}

// convert turns a key of the set into the fields' values. ok is false where no
// packet can have it.
func (l Layout) convert(key []byte, fill byte) (b []byte, ok bool) {
	b = make([]byte, 0, l.size())
	for _, s := range l {
		if len(key) < s.Width {
			return nil, false
		}
		part, fits := s.convert(key[:s.Width], fill)
		if !fits {
			return nil, false
		}
		b = append(b, part...)
		// Each part is padded to whole registers, the last one perhaps not.
		key = key[min(len(key), (s.Width+3)&^3):]
	}
	return b, true
}

func (s Slot) convert(register []byte, fill byte) ([]byte, bool) {
	if s.Width == s.Size && !s.Swapped && s.Shift == 0 {
		return register, true
	}
	v := value{width: s.Width, swapped: s.Swapped, front: s.Front, shift: s.Shift}
	return v.widenTo(s.Size, register, fill)
}

// key is convert the other way: the set's key that a packet with these values has. ok
// is false where a part of a key is not all of a field.
func (l Layout) key(values []byte) (key []byte, ok bool) {
	for i, s := range l {
		if s.Width != s.Size || s.Shift != 0 || len(values) < s.Size {
			return nil, false
		}
		part := bytes.Clone(values[:s.Size])
		if s.Swapped {
			slices.Reverse(part)
		}
		values = values[s.Size:]
		if key = append(key, part...); i < len(l)-1 {
			key = append(key, make([]byte, (s.Width+3)&^3-s.Width)...)
		}
	}
	return key, len(values) == 0
}

// span turns two keys, the ends of an interval, into values. Where the fields
// lie in other order than their bytes, only a single key can be.
func (l Layout) span(from, to []byte) (low, high []byte, ok bool) {
	if !l.ordered() && !bytes.Equal(from, to) {
		return nil, nil, false
	}
	low, ok = l.convert(from, 0)
	high, ok2 := l.convert(to, 0xff)
	return low, high, ok && ok2
}
