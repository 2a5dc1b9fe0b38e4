package diagnose

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
)

// notRouted tells a missing route from routing that is off. The kernel asks the
// interface that the packet came in by.
func (d *diagnosis) notRouted() []drop.Why {
	if d.c.Machine == nil {
		return nil
	}
	local, ok := d.c.Machine.Local(d.f.Destination)
	if !ok || local || !d.f.Destination.IsGlobalUnicast() {
		return nil
	}
	byPolicy := d.routedByPolicy()
	if len(byPolicy) > 0 && byPolicy[0].Code == drop.WhyRouteRefuses {
		return byPolicy
	}
	route, ok := d.c.Machine.RouteTo(d.f.Destination)
	if ok && route.Refused != "" {
		return []drop.Why{{Code: drop.WhyRouteRefuses, Message: fmt.Sprintf(
			"the route to %s is of the type %s: somebody wants nothing to go there", d.f.Destination, route.Refused)}}
	}
	if w := d.ownReturned(); w != nil {
		return w
	}
	if w := d.forwardingOff(); w != nil {
		if ok && (route.Device == "" || route.Device == d.f.in) {
			return d.notLocal() // there is nowhere to forward it to
		}
		return w
	}
	if byPolicy != nil {
		return byPolicy
	}
	if !ok || route.Device != "" {
		return nil
	}
	return []drop.Why{{
		Code:    drop.WhyNoRoute,
		Message: fmt.Sprintf("there is no route to %s; choose the GATEWAY that leads there", d.f.Destination),
		Fix:     d.c.Namespace.in(d.shell("ip", "route", "add", d.f.Destination.String(), "via", "GATEWAY")),
	}}
}

// notLocal: a virtual address that moved on, or never came.
func (d *diagnosis) notLocal() []drop.Why {
	return []drop.Why{{Code: drop.WhyNotLocal, Message: fmt.Sprintf(
		"it came in by %s for %s, which no interface of this host has: the address is missing here, or its sender took the wrong host",
		d.f.in, d.f.Destination)}}
}

// ownReturned: a packet with a source of this host came in for an address that is not
// here. Without forwarding it is dropped before its source is looked at
// (ip_route_input_slow).
func (d *diagnosis) ownReturned() []drop.Why {
	own, ok := d.c.Machine.Local(d.f.Source)
	if d.f.in == "" || !ok || !own || !d.f.Destination.Is4() {
		return nil
	}
	if n, ok := d.number("net/ipv4/conf/" + d.f.in + "/forwarding"); !ok || n != 0 {
		return nil
	}
	return []drop.Why{{Code: drop.WhyNotLocal, Message: fmt.Sprintf(
		"it came in by %s with source %s, this host's own address, for %s, which is not here, and this host does not forward: it is its own packet come back (a loop, a wrong gateway), or forged",
		d.f.in, d.f.Source, d.f.Destination)}}
}

func (d *diagnosis) forwardingOff() []drop.Why {
	if own, ok := d.c.Machine.Local(d.f.Source); d.f.in == "" || !ok || own {
		return nil // it did not come in from outside
	}
	all, one := "net/ipv4/ip_forward", "net/ipv4/conf/"+d.f.in+"/forwarding"
	if d.f.Destination.Is6() {
		all, one = "net/ipv6/conf/all/forwarding", "net/ipv6/conf/"+d.f.in+"/forwarding"
	}
	message := "it is for %s, and this host does not forward packets (%s is 0)"
	dotted := func(path string) string { return strings.ReplaceAll(path, "/", ".") }
	// IPv6 asks the namespace, IPv4 the interface.
	if n, ok := d.number(all); ok && n == 0 {
		if v, ok := d.number(one); d.f.Destination.Is4() && ok && v != 0 {
			return nil
		}
		return []drop.Why{{Code: drop.WhyIPForwardOff, Message: fmt.Sprintf(message, d.f.Destination, dotted(all)), Fix: d.sysctl(dotted(all), "1")}}
	}
	if n, ok := d.number(one); ok && n == 0 && d.f.Destination.Is4() {
		name := "net.ipv4.conf." + d.f.in + ".forwarding"
		return []drop.Why{{Code: drop.WhyIPForwardOff, Message: fmt.Sprintf(message, d.f.Destination, name), Fix: d.sysctl(name, "1")}}
	}
	return nil
}

// linkDown: what was to leave by an interface that cannot send. At these places the
// packet's device is that one.
func (d *diagnosis) linkDown(function string) []drop.Why {
	switch d.c.Reason {
	case "QDISC_DROP", "QDISC_DROP_GENERIC", "NEIGH_FAILED":
	case "", "NOT_SPECIFIED":
		switch function {
		case "__dev_queue_xmit", "neigh_invalidate", "arp_error_report", "ndisc_error_report":
		default:
			return nil
		}
	default:
		return nil
	}
	if d.c.Machine == nil || d.f.in == "" {
		return nil
	}
	switch i, ok := d.c.Machine.Interface(d.f.in); {
	case !ok, i.Up && i.Carrier:
		return nil
	case !i.Up:
		return []drop.Why{{Code: drop.WhyLinkDown, Message: fmt.Sprintf("%s is down", d.f.in), Fix: d.linkUp()}}
	}
	i, _ := d.c.Machine.Interface(d.f.in)
	return []drop.Why{d.carrier(d.f.in, &i)}
}

func (d *diagnosis) linkUp() string {
	if strings.HasPrefix(d.f.in, "-") {
		d.unnamed = true
		return ""
	}
	return d.c.Namespace.in(d.shell("ip", "link", "set", "dev", d.f.in, "up"))
}

// neighbourSilent: nobody on the link says that it has the next hop's address.
func (d *diagnosis) neighbourSilent() []drop.Why {
	if d.c.Machine == nil {
		return nil
	}
	r, ok := d.c.Machine.RouteTo(d.f.Destination)
	if !ok || r.Device == "" {
		return nil
	}
	if i, ok := d.c.Machine.Interface(r.Device); ok && i.cutOff() {
		return []drop.Why{d.carrier(r.Device, &i)}
	}
	protocol, who := "ARP", fmt.Sprint(d.f.Destination)
	if d.f.Destination.Is6() {
		protocol = "neighbour discovery"
	}
	if r.Gateway.IsValid() {
		who = fmt.Sprintf("the gateway %s to %s", r.Gateway, d.f.Destination)
	}
	return []drop.Why{{Code: drop.WhyNeighbourSilent, Message: fmt.Sprintf(
		"%s does not answer %s on %s: it is down, on another link, or does not have that address", who, protocol, r.Device)}}
}

// tooBig: no router cuts what must not be fragmented, and none cuts IPv6.
func (d *diagnosis) tooBig() []drop.Why {
	if d.c.Machine == nil {
		return nil
	}
	const dontFragment = 0x40 // of the byte at 6
	if b := d.c.Packet.Bytes; d.c.Reason != "PKT_TOO_BIG" && d.f.Destination.Is4() && b[6]&dontFragment == 0 {
		return nil
	}
	r, ok := d.c.Machine.RouteTo(d.f.Destination)
	if !ok || r.Device == "" {
		return nil
	}
	i, ok := d.c.Machine.Interface(r.Device)
	if !ok {
		return nil
	}
	way, mtu := r.Device, i.MTU
	if r.MTU != 0 && r.MTU < mtu { // of the route, or learned of a hop further on
		way, mtu = fmt.Sprintf("the way to %s (ip route get)", d.f.Destination), r.MTU
	}
	if d.c.Packet.Length <= mtu {
		return nil
	}
	message := fmt.Sprintf("its %d bytes do not fit through %s, whose MTU is %d, and it must not be fragmented",
		d.c.Packet.Length, way, mtu)
	if own, ok := d.c.Machine.Local(d.f.Source); !ok || own {
		return []drop.Why{{Code: drop.WhyTooBig, Message: message}}
	}
	message += "; its sender is told by ICMP, which has to reach it"
	if d.f.HasTCP {
		message += ", or lower TCP's MSS (iptables -j TCPMSS --clamp-mss-to-pmtu, nft tcp option maxseg size set rt mtu)"
	}
	return []drop.Why{{Code: drop.WhyTooBig, Message: message}}
}
