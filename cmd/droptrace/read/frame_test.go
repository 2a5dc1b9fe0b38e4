package read

import (
	"slices"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

// However a packet was recorded, an expression sees the same frame.
func TestRecordedPacketsAsFrames(t *testing.T) {
	ip := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	macs := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	tag := []byte{0x81, 0, 0, 7}
	none := make([]byte, 12)
	type0 := []byte{8, 0}
	for _, tt := range []struct {
		name   string
		c      drop.Capture
		tags   bool
		want   []byte
		length int
	}{
		{"ethernet", drop.Capture{Link: drop.LinkEthernet, Data: slices.Concat(macs, type0, ip), Original: 60}, false, slices.Concat(macs, type0, ip), 60},
		{"tag beside it", drop.Capture{Link: drop.LinkEthernet, Tagged: true, Data: slices.Concat(macs, tag, type0, ip), Original: 64}, false, slices.Concat(macs, type0, ip), 60},
		{"tag asked for", drop.Capture{Link: drop.LinkEthernet, Tagged: true, Data: slices.Concat(macs, tag, type0, ip), Original: 64}, true, slices.Concat(macs, tag, type0, ip), 64},
		{"raw", drop.Capture{Link: drop.LinkRaw, Data: ip, Original: 46}, false, slices.Concat(none, type0, ip), 60},
		{"raw ip6", drop.Capture{Link: drop.LinkRaw, Data: []byte{0x60}, Original: 40}, false, slices.Concat(none, []byte{0x86, 0xdd, 0x60}), 54},
		{"cooked", drop.Capture{Link: drop.LinkCooked, Data: slices.Concat(make([]byte, 14), []byte{8, 6}, ip), Original: 36}, false, slices.Concat(none, []byte{8, 6}, ip), 34},
	} {
		frame, length := ethernetFrame(&tt.c, tt.tags)
		if !slices.Equal(frame, tt.want) || length != tt.length {
			t.Errorf("%s: %x of %d, want %x of %d", tt.name, frame, length, tt.want, tt.length)
		}
	}
}
