package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// neighbours tells neighbour discovery that nothing accepts: what ARP is for IPv4
// and no firewall sees there. A host without it is not reached by IPv6 at all, so
// that it is asked for from all neighbours; the kernel takes it from no others
// (RFC 4861, 7.1: the hop limit is 255).
func (d *diagnosis) neighbours() []drop.Why {
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
	case 130:
		what = "a multicast listener query (MLD), and hosts that do not hear it lose their multicast groups at snooping switches"
	case 131, 132, 143:
		what, wanted = "a multicast listener report (MLD), which only routers and snooping bridges use", false
	default:
		return nil
	}
	w := drop.Why{Code: drop.WhyPolicyDrop, Message: fmt.Sprintf("it is %s, and no rule of %s accepts icmpv6 type %d before %s",
		what, d.c.Place.Base.Name, d.f.ICMP.Type, d.placeName(d.c.Place))}
	s := spec{family: "ip6", proto: d.f.Protocol, icmpType: d.f.ICMP.Type, hasICMPType: true}
	if d.f.ICMP.Type == 134 && d.c.Hook.Name == "input" {
		s.src = d.f.Source // of one router, not of all that call themselves one
	}
	if wanted {
		w.Fix = d.fix(s)
	}
	return []drop.Why{w}
}

// discovery are the commands for neighbour discovery, where a packet that this host
// sends is to be let out and the firewall lets no neighbour be found. Who comes in
// has found this host.
func (d *diagnosis) discovery() (commands []string) {
	if d.c.Hook.Family != "ip6" || d.c.Hook.Name != "output" || d.f.out == "lo" ||
		d.f.HasICMP && d.f.ICMP.Type >= 133 && d.f.ICMP.Type <= 137 {
		return nil
	}
	for _, n := range []struct {
		hook string
		icmp uint8
	}{{"output", 135}, {"input", 136}} {
		h := replay.Hook{Family: "ip6", Name: n.hook}
		p := d.neighbour(n.hook, n.icmp)
		r := replay.At(d.c.Rulesets, h, &p, d.c.Environment, replay.Options{})
		if !dropped(r.Verdict) || r.Last.Base == nil {
			continue
		}
		s := spec{family: "ip6", proto: packet.ProtoICMPv6, icmpType: n.icmp, hasICMPType: true}
		if more, ok := d.opened(&passage{rulesets: d.c.Rulesets, hook: h, packet: p, place: r.Last}, s); ok {
			commands = append(commands, more...)
		}
	}
	return commands
}

// neighbour is the question for the packet's next hop, taken for its destination,
// or the answer. conntrack leaves both alone.
func (d *diagnosis) neighbour(hook string, icmp uint8) replay.Packet {
	const headers, length = 40, 72 // of IPv6, and with struct nd_msg and its option
	p := d.c.Packet
	p.Conntrack = replay.Conntrack{State: ruleset.CTUntracked}
	p.Bytes, p.Length = make([]byte, length), length
	p.Bytes[0], p.Bytes[5], p.Bytes[6], p.Bytes[7] = 0x60, length-headers, byte(packet.ProtoICMPv6), 255
	p.Bytes[headers] = icmp
	from, to := d.f.Source, solicited(d.f.Destination)
	if hook == "input" {
		from, to = d.f.Destination, d.f.Source
		p.In, p.Out = p.Out, replay.Interface{Known: true}
	}
	copy(p.Bytes[8:], from.AsSlice())
	copy(p.Bytes[24:], to.AsSlice())
	target := d.f.Destination.As16()
	copy(p.Bytes[headers+8:], target[:])
	return p
}

// solicited is the multicast group that listens for questions about an address
// (RFC 4291, 2.7.1).
func solicited(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}
