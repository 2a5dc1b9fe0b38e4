package correlate

import (
	"net/netip"
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
)

// setFlows lists how the packet may have looked on the wire: as it died, and as
// its conntrack entry says that it came or would have gone on.
func (d *recorded) setFlows() {
	d.flows = d.room[:0]
	d.addFlow(d.id.flow)
	d.inners = nil
	if d.id.isError {
		d.inners = []flow{d.id.inner}
	}
	c := d.drop.Conntrack
	if c == nil || d.id.fixed.etherType != etherIPv4 && d.id.fixed.etherType != etherIPv6 {
		return
	}
	own, other := c.Original, c.Reply
	if c.Dir == "reply" {
		own, other = other, own
	}
	if d.id.isError {
		d.setErrorFlows(own, other)
		return
	}
	if own != nil {
		d.addFlow(d.tupleFlow(own, false))
	}
	if other != nil {
		d.addFlow(d.tupleFlow(other, true))
	}
}

// setErrorFlows is for an ICMP error, which travels in the entry of the packet that
// it quotes: own and other are that one's, of the error's direction and of the
// quoted packet's. Either end may have been translated, and who sent it may be
// neither.
func (d *recorded) setErrorFlows(own, other *drop.Tuple) {
	if own == nil || other == nil {
		return
	}
	d.inners = append(d.inners, d.tupleFlow(own, true), d.tupleFlow(other, false))
	sources := []netip.Addr{{}, own.Source, other.Destination}
	destinations := []netip.Addr{{}, own.Destination, other.Source}
	for _, s := range sources {
		for _, to := range destinations {
			f := d.id.flow
			if s.IsValid() {
				f.source = [16]byte{}
				setAddress(&f.source, s)
			}
			if to.IsValid() {
				f.destination = [16]byte{}
				setAddress(&f.destination, to)
			}
			d.addFlow(f)
		}
	}
}

func (d *recorded) addFlow(f flow) {
	if !slices.Contains(d.flows, f) {
		d.flows = append(d.flows, f)
	}
}

// tupleFlow is a tuple as a packet of its direction, or of the other, has it.
func (d *recorded) tupleFlow(t *drop.Tuple, turned bool) flow {
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
