package capture

import (
	"bytes"
	"testing"
	"time"
)

// pcapFile is what tcpdump writes, in one of its forms.
func pcapFile(bigEndian bool, nanoseconds bool) []byte {
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0}
	if nanoseconds {
		b[0], b[1] = 0x4d, 0x3c
	}
	b = append(b, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0)
	if bigEndian {
		for _, n := range []int{0, 8, 12, 16, 20, 24, 28, 32, 36} {
			b[n], b[n+1], b[n+2], b[n+3] = b[n+3], b[n+2], b[n+1], b[n]
		}
		b[4], b[5], b[6], b[7] = 0, 2, 0, 4
	}
	return append(b, "abc"...)
}

func TestEveryFormOfPcap(t *testing.T) {
	for _, big := range []bool{false, true} {
		for _, nano := range []bool{false, true} {
			r, err := NewReader(bytes.NewReader(pcapFile(big, nano)))
			if err != nil {
				t.Fatal(err)
			}
			var p Packet
			if err := r.Read(&p); err != nil {
				t.Fatal(err)
			}
			want := time.Unix(1, 2000)
			if nano {
				want = time.Unix(1, 2)
			}
			if !p.Time.Equal(want) || string(p.Data) != "abc" || p.Original != 9 || p.Link != linkEthernet {
				t.Errorf("big endian %v, nanoseconds %v: %+v", big, nano, p)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(pcapFile(false, false))
	f.Add(pcapFile(true, true))
	f.Add([]byte("\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00" +
		"\x01\x00\x00\x00\x1c\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x09\x00\x01\x00\x89\x00\x00\x00\x1c\x00\x00\x00" +
		"\x06\x00\x00\x00\x24\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00\x09\x00\x00\x00abc\x00\x24\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var p Packet
		for n := 0; r.Read(&p) == nil; n++ {
			if len(p.Data) > len(b) || n > len(b) {
				t.Fatalf("packet %d of %d bytes out of %d", n, len(p.Data), len(b))
			}
			p.Network()
		}
	})
}
