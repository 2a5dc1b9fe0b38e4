package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// registers are the kernel's data registers: 16 words of 4 bytes. Where a value
// takes several, each knows which of the value's words it is.
type registers [unix.NFT_REG32_COUNT]struct {
	v    *value
	word int
}

// registerVerdict is NFT_REG_VERDICT: writing it ends the rule.
const registerVerdict = 0

// slot turns a register's number into the index of its first word: 1 to 4 are
// the old registers of 16 bytes, 8 to 23 those of 4 (nft_parse_register).
func slot(register uint32) (int, bool) {
	switch {
	case register >= 1 && register <= 4:
		return int(register-1) * 4, true
	case register >= unix.NFT_REG32_00 && register <= unix.NFT_REG32_15:
		return int(register - unix.NFT_REG32_00), true
	}
	return 0, false
}

func (r *registers) set(register uint32, v *value) bool {
	at, ok := slot(register)
	if !ok || at+v.words() > len(r) {
		return false
	}
	for i := range v.words() {
		r[at+i].v, r[at+i].word = v, i
	}
	return true
}

// get is the value that begins in the register, whole.
func (r *registers) get(register uint32) *value {
	at, ok := slot(register)
	if !ok {
		return nil
	}
	return r.at(at)
}

func (r *registers) at(at int) *value {
	if at >= len(r) || r[at].v == nil {
		return nil
	}
	v := r[at].v
	for i := range v.words() {
		if at+i >= len(r) || r[at+i].v != v || r[at+i].word != i {
			return nil
		}
	}
	return v
}

// forget makes values of a field that was just set unknown: a comparison of what
// was loaded before is not one of what the field is now.
func (r *registers) forget(f ruleset.Field) {
	for i := range r {
		if v := r[i].v; v != nil && v.field == f && v.unknown == "" {
			v.unknown, v.used = "register", true
		}
	}
}

// gather is the values that make a key of length bytes from the register on,
// each padded to whole words but perhaps the last. It is nil where the key ends
// inside a value, or where nothing is known of a part of it.
func (r *registers) gather(register uint32, length int) []*value {
	at, ok := slot(register)
	if !ok || length <= 0 {
		return nil
	}
	var list []*value
	for length > 0 {
		v := r.at(at)
		if v == nil || v.width > length {
			return nil
		}
		list = append(list, v)
		at += v.words()
		length -= 4 * v.words()
	}
	return list
}
