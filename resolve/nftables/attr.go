package nftables

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// errMalformed is returned for bytes that are no netlink attributes. The
// kernel never sends such; it is there so that nothing is guessed from them.
var errMalformed = errors.New("malformed netlink attribute")

const (
	attrHeader = 4      // struct nlattr: u16 length with the header, u16 type
	attrType   = 0x3fff // NLA_TYPE_MASK: without the nested and byte-order bits
)

// attrs walks a list of netlink attributes:
//
//	for a := walk(b); a.next(); {
//		switch a.typ { … a.data … }
//	}
//
// and a.err() tells afterwards whether the list was whole. netlink's own
// AttributeDecoder does the same but allocates for every nesting, of which a
// rule has about ten: here 100,000 rules are read without garbage.
type attrs struct {
	rest []byte
	typ  uint16
	data []byte // aliases the message
	bad  bool
}

func walk(b []byte) attrs { return attrs{rest: b} }

// next steps to the next attribute; it is false at the end and at a malformed
// one.
func (a *attrs) next() bool {
	if a.bad || len(a.rest) == 0 {
		return false
	}
	if len(a.rest) < attrHeader {
		a.bad = true
		return false
	}
	// Lengths and types are in host byte order, payloads of nf_tables in
	// network byte order.
	length := int(binary.NativeEndian.Uint16(a.rest))
	if length < attrHeader || length > len(a.rest) {
		a.bad = true
		return false
	}
	a.typ = binary.NativeEndian.Uint16(a.rest[2:]) & attrType
	a.data = a.rest[attrHeader:length]

	// Attributes begin on 4-byte borders; the last may come unpadded.
	aligned := min((length+3)&^3, len(a.rest))
	a.rest = a.rest[aligned:]
	return true
}

func (a *attrs) err() error {
	if a.bad {
		return errMalformed
	}
	return nil
}

// uint32 is the payload as a number; a payload of another size is malformed.
func (a *attrs) uint32() uint32 {
	if len(a.data) != 4 {
		a.bad = true
		return 0
	}
	return binary.BigEndian.Uint32(a.data)
}

func (a *attrs) uint64() uint64 {
	if len(a.data) != 8 {
		a.bad = true
		return 0
	}
	return binary.BigEndian.Uint64(a.data)
}

// text is the payload up to its NUL. It aliases the message.
func (a *attrs) text() []byte { return untilNUL(a.data) }

// nested walks fn over the attribute's own attributes.
func (a *attrs) nested(fn func(a *attrs)) {
	in := walk(a.data)
	for in.next() {
		fn(&in)
	}
	a.bad = a.bad || in.bad
}

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
