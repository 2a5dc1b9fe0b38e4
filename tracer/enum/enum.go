// Package enum finds the values of a kernel's enumerators in its type information
// (BTF, Documentation/bpf/btf.rst). Those of enumerations without a name cannot be
// asked for by name elsewhere, and going through all types of a kernel as values
// of Go takes 10 to 300 ms; this takes one.
package enum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat is returned for bytes that are not BTF of this machine's byte order.
var ErrFormat = errors.New("not BTF")

const (
	magic           = 0xeb9f
	headerBytes     = 24
	typeBytes       = 12
	enumeratorBytes = 8

	// A type's second word.
	membersMask = 0xffff
	kindShift   = 24
	kindMask    = 0x1f
)

// Kinds of types, BTF_KIND_*, to which more than the common part belongs.
const (
	kindInt     = 1
	kindArray   = 3
	kindStruct  = 4
	kindUnion   = 5
	kindEnum    = 6
	kindProto   = 13
	kindVar     = 14
	kindDatasec = 15
	kindDeclTag = 17
	kindEnum64  = 19
	kindLast    = kindEnum64
)

// section is one part of the type information.
type section struct{ types, names []byte }

func parse(b []byte) (s section, err error) {
	word := binary.NativeEndian.Uint32
	if len(b) < headerBytes || binary.NativeEndian.Uint16(b) != magic {
		return s, fmt.Errorf("header of %d bytes: %w", len(b), ErrFormat)
	}
	cut := func(offset, length uint32) []byte {
		start := uint64(word(b[4:])) + uint64(offset)
		if end := start + uint64(length); end <= uint64(len(b)) {
			return b[start:end]
		}
		err = fmt.Errorf("section at %d of %d bytes: %w", start, length, ErrFormat)
		return nil
	}
	s.types, s.names = cut(word(b[8:]), word(b[12:])), cut(word(b[16:]), word(b[20:]))
	return s, err
}

// Values returns the value of each enumerator: 0 for one that is not there, or there
// more than once with different values.
func Values(b []byte, enumerators ...string) ([]uint32, error) {
	s, err := parse(b)
	if err != nil {
		return nil, err
	}
	found := make([]uint32, len(enumerators))
	differs := make([]bool, len(enumerators))
	wanted := make(map[uint32]int, len(enumerators))
	for i, name := range enumerators {
		if at := bytes.Index(s.names, []byte("\x00"+name+"\x00")); at >= 0 {
			wanted[uint32(at+1)] = i
		}
	}
	word := binary.NativeEndian.Uint32
	for rest := s.types; len(rest) > 0; {
		if len(rest) < typeBytes {
			return nil, fmt.Errorf("type of %d bytes: %w", len(rest), ErrFormat)
		}
		info := word(rest[4:])
		kind, members := info>>kindShift&kindMask, int(info&membersMask)
		n := extra(kind, members)
		rest = rest[typeBytes:]
		if n > len(rest) || kind == 0 || kind > kindLast {
			return nil, fmt.Errorf("type of kind %d, %d bytes: %w", kind, n, ErrFormat)
		}
		for e := rest[:n]; kind == kindEnum && len(e) > 0; e = e[enumeratorBytes:] {
			if i, ok := wanted[word(e)]; ok {
				differs[i] = differs[i] || found[i] != 0 && found[i] != word(e[4:])
				found[i] = word(e[4:])
			}
		}
		rest = rest[n:]
	}
	for i := range found {
		if differs[i] {
			found[i] = 0
		}
	}
	return found, nil
}

// extra is how many bytes follow the common part of a type.
func extra(kind uint32, members int) int {
	switch kind {
	case kindInt, kindVar, kindDeclTag:
		return 4
	case kindArray:
		return 12
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return members * 12
	case kindProto, kindEnum:
		return members * 8
	}
	return 0
}
