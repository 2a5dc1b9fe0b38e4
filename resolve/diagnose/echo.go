package diagnose

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/packet"
)

// toBroadcast: icmp_rcv takes only a few types to a broadcast or multicast address,
// and echo and timestamp requests only with a sysctl.
func (d *diagnosis) toBroadcast() []drop.Why {
	if d.f.Protocol != packet.ProtoICMP || !d.f.HasICMP || d.c.Reason != "" && d.c.Reason != "INVALID_PROTO" {
		return nil
	}
	if !d.f.Destination.IsMulticast() && d.c.Packet.PacketType != packetBroadcast {
		return nil
	}
	const echo, timestamp, address, addressReply = 8, 13, 17, 18
	switch n, ok := d.number("net/ipv4/icmp_echo_ignore_broadcasts"); d.f.ICMP.Type {
	case echo, timestamp:
		if !ok || n == 0 {
			return nil
		}
		return []drop.Why{{Code: drop.WhyEchoToBroadcast, Message: fmt.Sprintf(
			"hosts do not answer icmp type %d to a broadcast or multicast address such as %s (net.ipv4.icmp_echo_ignore_broadcasts is %d)",
			d.f.ICMP.Type, d.f.Destination, n)}}
	case address, addressReply:
		return nil
	}
	return []drop.Why{{Code: drop.WhyEchoToBroadcast, Message: fmt.Sprintf(
		"icmp type %d is not valid to a broadcast or multicast address such as %s", d.f.ICMP.Type, d.f.Destination)}}
}

// packetBroadcast is PACKET_BROADCAST of uapi linux/if_packet.h.
const packetBroadcast = 1
