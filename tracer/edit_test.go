package tracer

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// Numbers of BTF (Documentation/bpf/btf.rst).
const (
	btfHeader  = 24
	btfType    = 12
	kindStruct = 4
	kindUnion  = 5
	kindEnum   = 6
	kindTypdef = 8
)

// without returns the running kernel's types as if it had none of that name; a name
// like net.ct stands for a member.
func without(t testing.TB, names ...string) *btf.Spec {
	t.Helper()
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Fatal(err)
	}
	raw, hidden := appendName(t, raw, "hidden by a test")
	for _, name := range names {
		typeName, member, _ := bytes.Cut([]byte(name), []byte("."))
		hide(raw, hidden, string(typeName), string(member))
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// appendName returns the types with one more name, and where that lies.
func appendName(t testing.TB, raw []byte, name string) ([]byte, uint32) {
	word := binary.NativeEndian.Uint32
	at := word(raw[20:])
	if int(btfHeader+word(raw[16:])+at) != len(raw) {
		t.Fatal("names are not the last part of these types")
	}
	raw = append(raw, name+"\x00"...)
	binary.NativeEndian.PutUint32(raw[20:], at+uint32(len(name)+1))
	return raw, at
}

// hide gives another name to types, or to their members.
func hide(raw []byte, hidden uint32, typeName, member string) {
	word := binary.NativeEndian.Uint32
	names := raw[btfHeader+word(raw[16:]):]
	named := func(at []byte, name string) bool {
		return name != "" && bytes.HasPrefix(names[word(at):], []byte(name+"\x00"))
	}
	rename := func(at []byte) { binary.NativeEndian.PutUint32(at, hidden) }
	types := raw[btfHeader+word(raw[8:]):][:word(raw[12:])]
	for len(types) > 0 {
		kind, n := word(types[4:])>>24&0x1f, int(word(types[4:])&0xffff)
		size := btfType + extraBytes(kind, n)
		if isTyped(kind) && named(types, typeName) {
			if member == "" {
				rename(types)
			}
			for m := types[btfType:size]; member != "" && kind <= kindUnion && len(m) > 0; m = m[12:] {
				if named(m, member) {
					rename(m)
				}
			}
		}
		types = types[size:]
	}
}

func isTyped(kind uint32) bool {
	return kind == kindStruct || kind == kindUnion || kind == kindEnum || kind == kindTypdef
}

func extraBytes(kind uint32, members int) int {
	switch kind {
	case 1, 14, 17: // int, var, decl_tag
		return 4
	case 3: // array
		return 12
	case 4, 5, 15, 19: // struct, union, datasec, enum64
		return members * 12
	case 6, 13: // enum, function
		return members * 8
	}
	return 0
}
