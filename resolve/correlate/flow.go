package correlate

import (
	"net/netip"
	"slices"

	"github.com/droptrace/droptrace/resolve"
)

// setFlows lists how the packet may have looked on the wire: as it died, and as
// its conntrack entry says that it came or would have gone on.
func (d *drop) setFlows() {
	d.addFlow(d.id.flow)
	c := d.drop.Conntrack
	if c == nil || d.id.fixed.etherType != etherIPv4 && d.id.fixed.etherType != etherIPv6 {
		return
	}
	// An error travels in the entry of the packet that it quotes: the tuples
	// are not its own.
	p := d.id.fixed.protocol
	if (p == protoICMP || p == protoICMPv6) && !echo(p, d.id.fixed.kind) {
		return
	}
	own, other := c.Original, c.Reply
	if c.Dir == "reply" {
		own, other = other, own
	}
	if own != nil {
		d.addFlow(d.tupleFlow(own, false))
	}
	if other != nil {
		d.addFlow(d.tupleFlow(other, true))
	}
}

func (d *drop) addFlow(f flow) {
	if !slices.Contains(d.flows[:d.flowCount], f) {
		d.flows[d.flowCount] = f
		d.flowCount++
	}
}

// tupleFlow is a tuple as a packet of its direction, or of the other, has it.
func (d *drop) tupleFlow(t *resolve.Tuple, turned bool) flow {
	f := flow{sourcePort: t.SourcePort, destinationPort: t.DestinationPort}
	source, destination := t.Source, t.Destination
	if turned {
		source, destination = destination, source
		f.sourcePort, f.destinationPort = f.destinationPort, f.sourcePort
	}
	setAddress(&f.source, source)
	setAddress(&f.destination, destination)
	if t.ICMPID != nil {
		f.sourcePort, f.destinationPort = *t.ICMPID, 0
	}
	if d.id.fragment.is && d.id.fragment.offset > 0 {
		f.sourcePort, f.destinationPort = 0, 0 // only the first has them
	}
	return f
}

func setAddress(dst *[16]byte, a netip.Addr) {
	if a.IsValid() {
		copy(dst[:], a.AsSlice())
	}
}
