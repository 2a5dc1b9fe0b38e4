package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/drop"
)

// ownSource: a packet came in with a source address of this host. That is its own
// packet come back where a socket here is connecting by the same port to another
// address: DNAT on the way has replaced the destination by this host's address, and
// left the source alone (hairpin NAT).
func (d *diagnosis) ownSource() []drop.Why {
	w := drop.Why{Code: drop.WhyMartian, Message: fmt.Sprintf(
		"its source %s is one of this host's own addresses: it is this host's own packet come back (a loop, or DNAT without masquerading), it is forged, or two hosts have that address",
		d.f.Source)}
	if !d.f.HasPorts || d.c.Machine == nil {
		return []drop.Why{w}
	}
	list, ok := d.socketsOf(d.f.SourcePort)
	if !ok {
		return []drop.Why{w}
	}
	to := netip.AddrPortFrom(d.f.Destination, d.f.DestinationPort)
	for _, s := range list {
		connects := s.State == SocketSynSent || !d.f.HasTCP && s.State == SocketEstablished
		if !connects || s.Local.Addr().Unmap() != d.f.Source || s.Remote == to {
			continue
		}
		remote := netip.AddrPortFrom(s.Remote.Addr().Unmap(), s.Remote.Port())
		return []drop.Why{{Code: drop.WhyHairpin, Message: fmt.Sprintf(
			"it is the packet that %s sent from here to %s, come back: DNAT on the way made that %s and left the source %s, which is this host's own; the host that does the DNAT has to masquerade it as well (hairpin)",
			s.who(), remote, to, d.f.Source)}}
	}
	return []drop.Why{w}
}
