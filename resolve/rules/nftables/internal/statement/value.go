package statement

import (
	"encoding/binary"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// value is what a register holds: a field of the packet, perhaps masked, or a
// constant, or something that cannot be told (then unknown names it).
type value struct {
	field ruleset.Field
	// width is how many bytes of the register it takes. The field may be longer:
	// nft loads 10.0.0.0/8 as one byte of the address.
	width int
	// swapped: the least significant byte stands first, as host order is on
	// most machines.
	swapped bool
	// front: the register's bytes are the field's last, and those before are 0.
	front bool
	// shift is how many bits it was moved right after it was masked.
	shift int
	// mask and xor are in the field's order and as long as the field; nil where
	// nothing was changed.
	mask, xor []byte

	constant []byte // as in the register

	unknown    string // a Kind of ruleset.Opaque
	understood bool
	text       string // of a value that is not a field, for people

	used bool // a statement speaks of it
}

// littleEndian: this machine's kernel keeps numbers the other way round.
func littleEndian() bool {
	return binary.NativeEndian.Uint16([]byte{1, 0}) == 1
}

func (v *value) isField() bool { return v.field != 0 && v.unknown == "" }

// size is the length of the field's values.
func (v *value) size() int {
	if !v.isField() {
		return v.width
	}
	return v.field.Size()
}

// words is how many 4-byte registers the value takes.
func (v *value) words() int { return (v.width + 3) / 4 }

// widen turns register bytes into the field's order and length. What the
// register does not hold of the field, and the bits that were shifted out, are
// filled with fill. ok is false where the value cannot be one of the field's.
func (v *value) widen(register []byte, fill byte) (b []byte, ok bool) {
	return v.widenTo(v.size(), register, fill)
}

func (v *value) widenTo(size int, register []byte, fill byte) (b []byte, ok bool) {
	b = make([]byte, size)
	at := 0
	if v.front {
		at = len(b) - len(register)
	}
	if at < 0 || len(register) > len(b) {
		return nil, false
	}
	n := copy(b[at:], register)
	if v.swapped {
		slices.Reverse(b[at : at+n])
	}
	if !v.front {
		for i := n; i < len(b); i++ {
			b[i] = fill
		}
	}
	return b, v.shift == 0 || shiftLeft(b, v.shift, fill)
}

// shiftLeft moves the bits of a big-endian number up, and fills from below. It
// is false where a bit that is set falls off.
func shiftLeft(b []byte, bits int, fill byte) bool {
	for range bits {
		carry := fill & 1
		for i := len(b) - 1; i >= 0; i-- {
			next := b[i] >> 7
			b[i] = b[i]<<1 | carry
			carry = next
		}
		if carry != 0 {
			return false
		}
	}
	return true
}

// ordered reports whether comparing the register's bytes compares the numbers.
func (v *value) ordered() bool { return (!v.swapped || v.width == 1) && isZero(v.xor) }

func isZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

func filled(n int, with byte) []byte {
	b := make([]byte, n)
	if with != 0 {
		for i := range b {
			b[i] = with
		}
	}
	return b
}
