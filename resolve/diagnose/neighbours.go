package diagnose

import (
	"fmt"

	"github.com/droptrace/droptrace/tracer/packet"
)

// neighbours tells neighbour discovery that nothing accepts: what ARP is for IPv4
// and no firewall sees there. A host without it is not reached by IPv6 at all, so
// that it is asked for from all neighbours; the kernel takes it from no others
// (RFC 4861, 7.1: the hop limit is 255).
func (d *diagnosis) neighbours() []Why {
	if !d.byDefault() || !d.f.ip() || d.f.Protocol != packet.ProtoICMPv6 || !d.f.HasICMP {
		return nil
	}
	var what string
	wanted := true
	switch d.f.ICMP.Type {
	case 133:
		what, wanted = "a router solicitation, which routers alone answer", false
		if n, ok := d.number("net/ipv6/conf/all/forwarding"); ok && n != 0 {
			wanted = true
		}
	case 134:
		what = "a router advertisement, by which hosts learn their addresses and routes"
	case 135:
		what = "a neighbour solicitation, without which no IPv6 neighbour finds another"
	case 136:
		what = "a neighbour advertisement, without which no IPv6 neighbour finds another"
	default:
		return nil
	}
	w := Why{Code: PolicyDrop, Message: fmt.Sprintf("it is %s, and no rule of %s accepts icmpv6 type %d before %s",
		what, d.c.Place.Base.Name, d.f.ICMP.Type, d.placeName(d.c.Place))}
	s := spec{family: "ip6", proto: d.f.Protocol, icmpType: d.f.ICMP.Type, hasICMPType: true}
	if d.f.ICMP.Type == 134 && d.c.Hook.Name == "input" {
		s.src = d.f.Source // of one router, not of all that call themselves one
	}
	if wanted {
		w.Fix = d.fix(s)
	}
	return []Why{w}
}
