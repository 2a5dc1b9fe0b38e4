package enum

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func kernel(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Against another reader of the same bytes.
func TestValuesOfTheRunningKernel(t *testing.T) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]uint64)
	for typ, err := range spec.All() {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := typ.(*btf.Enum); ok {
			for _, v := range e.Values {
				want[v.Name] = v.Value
			}
		}
	}
	names := []string{"LINUX_MIB_LISTENDROPS", "LINUX_MIB_TCPDEFERACCEPTDROP", "NF_INET_FORWARD", "NOT_THERE_AT_ALL"}
	got, err := Values(kernel(t), names...)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if uint64(got[i]) != want[name] {
			t.Errorf("%s is %d, want %d", name, got[i], want[name])
		}
	}
	if got[0] == 0 || got[1] == 0 {
		t.Error("counters not found")
	}
}

func TestValuesThatDifferAreNotKnown(t *testing.T) {
	anonymous := func(value uint64) *btf.Enum {
		return &btf.Enum{Size: 4, Values: []btf.EnumValue{{Name: "A", Value: value}, {Name: "B", Value: 3}}}
	}
	same := anonymous(7)
	same.Values = append(same.Values, btf.EnumValue{Name: "C", Value: 8})
	for _, test := range []struct {
		types []btf.Type
		want  uint32
	}{{[]btf.Type{anonymous(7), same}, 7}, {[]btf.Type{anonymous(7), anonymous(8), same}, 0}} {
		b, err := btf.NewBuilder(test.types, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := b.Marshal(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Values(raw, "A", "B"); err != nil || got[0] != test.want || got[1] != 3 {
			t.Errorf("%d enumerations: %v, %v; want %d", len(test.types), got, err, test.want)
		}
	}
}

func TestValuesOfNonsense(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 100), kernel(t)[:5000]} {
		if _, err := Values(b, "LINUX_MIB_LISTENDROPS"); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func FuzzValues(f *testing.F) {
	b := []byte("\x9f\xeb\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00\x14\x00\x00\x00\x03\x00\x00\x00" +
		"\x00\x00\x00\x00\x01\x00\x00\x06\x04\x00\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00\x00A\x00")
	if v, err := Values(b, "A"); err != nil || v[0] != 7 {
		f.Fatalf("seed: %v, %v", v, err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Values(b, "A", "B")
		if err == nil && len(v) != 2 {
			t.Errorf("%d values", len(v))
		}
	})
}

func BenchmarkValues(b *testing.B) {
	types := kernel(b)
	for b.Loop() {
		if _, err := Values(types, "LINUX_MIB_LISTENDROPS"); err != nil {
			b.Fatal(err)
		}
	}
}
