// Package nlattr walks netlink attributes as nf_tables sends them.
package nlattr

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// ErrMalformed is returned for bytes that are no netlink attributes. The
// kernel never sends such; it is there so that nothing is guessed from them.
var ErrMalformed = errors.New("malformed netlink attribute")

const (
	attrHeader = 4      // struct nlattr: u16 length with the header, u16 type
	attrType   = 0x3fff // NLA_TYPE_MASK: without the nested and byte-order bits
)

// Attrs walks a list of netlink attributes:
//
//	for a := Walk(b); a.Next(); {
//		switch a.Type { … a.Data … }
//	}
//
// and a.Err() tells afterwards whether the list was whole. netlink's own
// AttributeDecoder does the same but allocates for every nesting, of which a
// rule has about ten: here 100,000 rules are read without garbage.
type Attrs struct {
	Type uint16
	Data []byte // aliases the message
	// Bad is set once something was malformed. Whoever reads attributes out
	// of another's Data passes it on.
	Bad  bool
	rest []byte
}

// Walk starts before the first attribute of b.
func Walk(b []byte) Attrs { return Attrs{rest: b} }

// Next steps to the next attribute; it is false at the end and at a malformed
// one.
func (a *Attrs) Next() bool {
	if a.Bad || len(a.rest) == 0 {
		return false
	}
	if len(a.rest) < attrHeader {
		a.Bad = true
		return false
	}
	// Lengths and types are in host byte order, payloads of nf_tables in
	// network byte order.
	length := int(binary.NativeEndian.Uint16(a.rest))
	if length < attrHeader || length > len(a.rest) {
		a.Bad = true
		return false
	}
	a.Type = binary.NativeEndian.Uint16(a.rest[2:]) & attrType
	a.Data = a.rest[attrHeader:length]

	// Attributes begin on 4-byte borders; the last may come unpadded.
	aligned := min((length+3)&^3, len(a.rest))
	a.rest = a.rest[aligned:]
	return true
}

// Err is ErrMalformed where the list, as far as it was walked, was not whole.
func (a *Attrs) Err() error {
	if a.Bad {
		return ErrMalformed
	}
	return nil
}

// Uint32 is the payload as a number; a payload of another size is malformed.
func (a *Attrs) Uint32() uint32 {
	if len(a.Data) != 4 {
		a.Bad = true
		return 0
	}
	return binary.BigEndian.Uint32(a.Data)
}

// Uint64 is the payload as a number; a payload of another size is malformed.
func (a *Attrs) Uint64() uint64 {
	if len(a.Data) != 8 {
		a.Bad = true
		return 0
	}
	return binary.BigEndian.Uint64(a.Data)
}

// Text is the payload up to its NUL. It aliases the message.
func (a *Attrs) Text() []byte { return UntilNUL(a.Data) }

// Nested walks fn over the attribute's own attributes.
func (a *Attrs) Nested(fn func(a *Attrs)) {
	in := Walk(a.Data)
	for in.Next() {
		fn(&in)
	}
	a.Bad = a.Bad || in.Bad
}

// UntilNUL is b up to its first NUL, or whole.
func UntilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// Expression takes an element of an expression list (NFTA_LIST_ELEM) apart into
// the expression's name and its own attributes.
func Expression(a *Attrs) (name, data []byte, ok bool) {
	in := Walk(a.Data)
	for in.Next() {
		switch in.Type {
		case unix.NFTA_EXPR_NAME:
			name = in.Text()
		case unix.NFTA_EXPR_DATA:
			data = in.Data
		}
	}
	a.Bad = a.Bad || in.Bad
	return name, data, !in.Bad
}
