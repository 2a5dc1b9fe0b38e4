package diagnose

import (
	"bytes"
	"fmt"
	"net"

	"github.com/droptrace/droptrace/resolve/drop"
)

// otherHost: the kernel took the frame for another host's (PACKET_OTHERHOST). That
// is so for another hardware address, and for a VLAN tag that no interface takes,
// which the kernel has thrown away by then (__netif_receive_skb_core).
func (d *diagnosis) otherHost() []drop.Why {
	const ethernet = 14
	if d.c.Machine == nil || d.f.in == "" {
		return nil
	}
	i, known := d.c.Machine.Interface(d.f.in)
	link := d.c.Packet.Link
	named := known && len(link) >= ethernet && len(i.Hardware) == 6
	if named && bytes.Equal(link[:6], i.Hardware) {
		return []drop.Why{{Code: drop.WhyOtherHost, Message: fmt.Sprintf(
			"the frame is addressed to %s, but has a VLAN tag that no interface on %[1]s takes: create that VLAN's interface here, or have its sender send it untagged",
			d.f.in)}}
	}
	if own, ok := d.c.Machine.Local(d.f.Destination); !ok || !own {
		return nil // it was flooded, and is no loss of ours
	}
	if !named {
		return []drop.Why{{Code: drop.WhyOtherHost, Message: fmt.Sprintf(
			"%s is here, but the frame was sent to another hardware address than that of %s (an old ARP or neighbour entry, an address in use twice), or with a VLAN tag that no interface takes; droptrace -w FILE shows the frame",
			d.f.Destination, d.f.in)}}
	}
	return []drop.Why{{Code: drop.WhyOtherHost, Message: fmt.Sprintf(
		"%s is here, but the frame was sent to hardware address %s, and %s has %s: its sender's ARP or neighbour entry is old, or two hosts have that address",
		d.f.Destination, net.HardwareAddr(link[:6]), d.f.in, net.HardwareAddr(i.Hardware))}}
}
