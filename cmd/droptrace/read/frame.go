package read

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
)

// ethernetFrame gives a recorded packet the form that expressions are about:
// package expression has what it is. length is that of the whole frame.
func ethernetFrame(c *drop.Capture, tags bool) (frame []byte, length int) {
	const addresses, header, tag, cooked = 12, 14, 4, 16
	b := c.Data
	switch {
	case c.Link == drop.LinkEthernet && c.Tagged && !tags && len(b) >= header+tag:
		return slices.Concat(b[:addresses], b[addresses+tag:]), c.Original - tag
	case c.Link == drop.LinkEthernet:
		return b, c.Original
	case c.Link == drop.LinkCooked && len(b) >= cooked:
		return slices.Concat(make([]byte, addresses), b[cooked-2:]), c.Original - cooked + header
	}
	etherType := []byte{0x08, 0x00}
	if len(b) > 0 && b[0]>>4 == 6 {
		etherType = []byte{0x86, 0xdd}
	}
	return slices.Concat(make([]byte, addresses), etherType, b), c.Original + header
}
