package statement

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// Numbers that x/sys/unix lacks: enum nft_bitwise_ops and its attributes.
const (
	bitwiseOp    = 6 // NFTA_BITWISE_OP
	bitwiseData  = 7 // NFTA_BITWISE_DATA
	bitwiseSreg2 = 8 // NFTA_BITWISE_SREG2, from 6.13

	opMaskXor    = 0
	opShiftLeft  = 1
	opShiftRight = 2
)

// bitwise masks or shifts a register.
func (d *Decoder) bitwise(data []byte, outer *nlattr.Attrs) {
	var (
		from, to, length, op, second uint32
		mask, xor, shift             []byte
	)
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_BITWISE_SREG:
			from = a.Uint32()
		case unix.NFTA_BITWISE_DREG:
			to = a.Uint32()
		case unix.NFTA_BITWISE_LEN:
			length = a.Uint32()
		case unix.NFTA_BITWISE_MASK:
			mask = dataValue(&a)
		case unix.NFTA_BITWISE_XOR:
			xor = dataValue(&a)
		case bitwiseOp:
			op = a.Uint32()
		case bitwiseData:
			shift = dataValue(&a)
		case bitwiseSreg2:
			second = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	v := d.registers.get(from)
	if v == nil || !v.isField() || second != 0 || int(length) < v.width {
		d.blur(from, to, length, "bitwise")
		return
	}
	next := *v
	ok := false
	switch op {
	case opMaskXor:
		ok = next.apply(mask, xor)
	case opShiftRight:
		// The kernel shifts words of host order (nft_bitwise_eval_rshift):
		// that is a shift of the number only where they lie so.
		if len(shift) == 4 && next.width <= 4 && isZero(next.xor) && (next.swapped || next.width == 1) {
			n := int(hostUint32(shift))
			next.shift, ok = next.shift+n, n < 32 && next.shift == 0
		}
	}
	if !ok {
		d.blur(from, to, length, "bitwise")
		return
	}
	v.used = true
	next.used = false
	d.load(to, next)
}

// apply adds a mask and xor, both as in the register, to what was done to the
// value before.
func (v *value) apply(mask, xor []byte) bool {
	if len(mask) < v.width || len(xor) < v.width || v.shift != 0 {
		return false
	}
	m, ok := v.widen(mask[:v.width], 0)
	x, ok2 := v.widen(xor[:v.width], 0)
	if !ok || !ok2 {
		return false
	}
	// ((f & m1) ^ x1) & m2 ^ x2 = f & (m1 & m2) ^ (x1 & m2 ^ x2)
	old, oldXor := v.mask, v.xor
	v.mask, v.xor = m, x
	for i := range m {
		if old != nil {
			v.mask[i] = old[i] & m[i]
		}
		if oldXor != nil {
			v.xor[i] ^= oldXor[i] & m[i]
		}
	}
	return true
}

// byteorder turns a number over, either way.
func (d *Decoder) byteorder(data []byte, outer *nlattr.Attrs) {
	var from, to, length, size uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_BYTEORDER_SREG:
			from = a.Uint32()
		case unix.NFTA_BYTEORDER_DREG:
			to = a.Uint32()
		case unix.NFTA_BYTEORDER_LEN:
			length = a.Uint32()
		case unix.NFTA_BYTEORDER_SIZE:
			size = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	v := d.registers.get(from)
	if v == nil || !v.isField() || int(size) != v.width || int(length) != v.width || v.front {
		d.blur(from, to, length, "byteorder")
		return
	}
	next := *v
	v.used, next.used = true, false
	if littleEndian() {
		next.swapped = !next.swapped
	}
	d.load(to, next)
}

// blur puts something unknown where a value can no longer be followed. What it
// came from keeps its say: a field that the packet lacks ended the rule.
func (d *Decoder) blur(from, to, length uint32, kind string) {
	next := value{width: int(min(max(length, 1), maxWidth)), unknown: kind, text: kind}
	if v := d.registers.get(from); v != nil && v.unknown != "" {
		// Masking a random number leaves it random.
		v.used = true
		next.unknown, next.understood, next.text = v.unknown, v.understood, v.text
	}
	d.load(to, next)
}

// dataValue is the NFTA_DATA_VALUE of a struct nft_data; nil where there is
// none. It aliases the message.
func dataValue(a *nlattr.Attrs) []byte {
	in := nlattr.Walk(a.Data)
	var b []byte
	for in.Next() {
		if in.Type == unix.NFTA_DATA_VALUE {
			b = in.Data
		}
	}
	a.Bad = a.Bad || in.Bad
	return b
}

// hostUint32 reads 4 bytes of the kernel's own order.
func hostUint32(b []byte) uint32 {
	b = slices.Clone(b)
	if littleEndian() {
		slices.Reverse(b)
	}
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
