package tracer

import "testing"

func TestSignedReturnAddressesAreRecognised(t *testing.T) {
	tests := []struct {
		name       string
		text       uint64
		word, want uint64 // on the stack, where it returns to
		same       bool
	}{
		{"signed, 48 bits", 0xffffa5a428000000, 0x369fa5a4295f03ac, 0xffffa5a4295f03ac, true},
		{"not signed", 0xffffa5a428000000, 0xffffa5a4295f03ac, 0xffffa5a4295f03ac, true},
		{"another address", 0xffffa5a428000000, 0x369fa5a4295f03b0, 0xffffa5a4295f03ac, false},
		{"signed, 39 bits", 0xffffffc008010000, 0x12b4a5c0080203ac, 0xffffffc0080203ac, true},
		{"signed, moved up by KASLR", 0xfffffffc08010000, 0x7dbfa5bc080203ac, 0xfffffffc080203ac, true},
		{"of user space", 0xffffa5a428000000, 0x001fa5a4295f03ac, 0xffffa5a4295f03ac, false},
		{"text at the very end", 0xffffffffff010000, 0xb2bfffffff0203ac, 0xffffffffff0203ac, true},
		{"text at the very end, another address", 0xffffffffff010000, 0xb2bffff7ff0203ac, 0xffffffffff0203ac, false},
	}
	for _, tt := range tests {
		bits := returnBits("arm64", tt.text)
		if got := tt.word&bits == tt.want&bits; got != tt.same {
			t.Errorf("%s: %x is %x: %v, want %v (bits %x)", tt.name, tt.word, tt.want, got, tt.same, bits)
		}
	}
	if bits := returnBits("amd64", 0xffffffff81000000); bits != ^uint64(0) {
		t.Errorf("amd64: got bits %x, want all", bits)
	}
}

func TestStacksAreNoSmallerThanPages(t *testing.T) {
	for page, want := range map[int]uint64{4 << 10: 16 << 10, 16 << 10: 16 << 10, 64 << 10: 64 << 10} {
		if got := stackSize(page); got != want {
			t.Errorf("pages of %d: got %d, want %d", page, got, want)
		}
	}
}
