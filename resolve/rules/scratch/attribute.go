package scratch

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"
)

// errMalformed is for bytes that are no netlink attributes.
var errMalformed = errors.New("malformed netlink attributes")

// attribute is one netlink attribute: its bytes as the kernel sent them, without
// padding. What is copied keeps them, with the flags of its type.
type attribute []byte

const (
	attributeHead = 4      // struct nlattr: u16 length, head included, u16 type
	attributeType = 0x3fff // NLA_TYPE_MASK: without NLA_F_NESTED, NLA_F_NET_BYTEORDER
	flagNested    = 0x8000 // NLA_F_NESTED
	flagNetOrder  = 0x4000 // NLA_F_NET_BYTEORDER
)

func (a attribute) typ() int { return int(binary.NativeEndian.Uint16(a[2:]) & attributeType) }

func (a attribute) data() []byte { return a[attributeHead:] }

// text is the data of a string that a NUL ends.
func (a attribute) text() string {
	b := a.data()
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// attributes are those that b holds, as far as it is well-formed: what is cut
// short ends them.
func attributes(b []byte) iter.Seq[attribute] {
	return func(yield func(attribute) bool) {
		for len(b) >= attributeHead {
			n := int(binary.NativeEndian.Uint16(b))
			if n < attributeHead || n > len(b) || !yield(attribute(b[:n:n])) {
				return
			}
			b = b[min(padded(n), len(b)):]
		}
	}
}

// find is the first attribute of the type, nil where there is none.
func find(b []byte, typ int) attribute {
	for a := range attributes(b) {
		if a.typ() == typ {
			return a
		}
	}
	return nil
}

// only are the attributes of these types, in their order.
func only(b []byte, types ...int) []byte {
	return kept(b, func(typ int) bool { return slices.Contains(types, typ) })
}

// without are all attributes but those of a type.
func without(b []byte, typ int) []byte {
	return kept(b, func(t int) bool { return t != typ })
}

func kept(b []byte, keep func(typ int) bool) (out []byte) {
	for a := range attributes(b) {
		if keep(a.typ()) {
			out = appendAttribute(out, int(binary.NativeEndian.Uint16(a[2:])), a.data())
		}
	}
	return out
}

// appendAttribute adds an attribute and its padding. typ may have flags.
func appendAttribute(b []byte, typ int, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attributeHead+len(data)))
	b = binary.NativeEndian.AppendUint16(b, uint16(typ))
	b = append(b, data...)
	return append(b, make([]byte, padded(len(data))-len(data))...)
}

func appendUint32(b []byte, typ int, v uint32) []byte {
	return appendAttribute(b, typ, binary.BigEndian.AppendUint32(nil, v))
}

// padded is a length with NLA_ALIGN.
func padded(n int) int { return (n + 3) &^ 3 }
