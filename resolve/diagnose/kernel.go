package diagnose

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/symbol"
)

// kernel tells drops in which netfilter has no part, by the kernel's reason. The
// words for a reason are package symbol's; what the machine adds is told here.
func (d *diagnosis) kernel() []Why {
	if !d.f.ip() {
		return nil
	}
	function := symbol.Base(d.c.Symbol)
	switch {
	case d.c.Overflow:
		return d.acceptQueue()
	case d.c.Deferred:
		return []Why{{Code: DeferredAccept, Message: "nothing is lost: the socket takes the connection when data come (TCP_DEFER_ACCEPT)"}}
	}
	switch d.c.Reason {
	case "TCP_LISTEN_OVERFLOW":
		return d.acceptQueue()
	case "SOCKET_RCVBUFF":
		return d.receiveBuffer()
	case "IP_RPFILTER":
		return d.reversePath()
	case "IP_INVALID_SOURCE", "IP_INVALID_DEST", "IP_LOCAL_SOURCE", "IP_LOCALNET":
		return d.martian(d.c.Reason)
	case "IP_OUTNOROUTES", "IP_INNOROUTES", "IP_INADDRERRORS":
		return d.notRouted()
	case "NO_SOCKET":
		if function == "cookie_v4_check" || function == "cookie_v6_check" {
			return d.acceptQueue()
		}
		return d.noListener()
	case "IP_INHDR":
		if function == "ip_forward" || function == "ip6_forward" {
			return []Why{{Code: TTLExpired, Message: fmt.Sprintf(
				"its TTL ran out here: too many hops lie behind it, or it goes in a circle (%s to %s)", d.f.Source, d.f.Destination)}}
		}
	case "TCP_CSUM", "UDP_CSUM", "ICMP_CSUM", "IP_CSUM":
		return []Why{{Code: BadChecksum, Message: symbol.Explain(function, d.c.Reason) +
			": it was damaged on its way, or an interface that it came by leaves checksums to hardware that is not there"}}
	case "", "NOT_SPECIFIED":
		switch function {
		case "ip_rcv_finish_core":
			return d.refusedByRoute()
		case "ip_error", "__ip_queue_xmit", "inet6_csk_xmit", "ip6_pkt_discard", "ip6_pkt_drop", "ip6_forward":
			return d.notRouted()
		}
	}
	return nil
}

// queue tells a packet that a rule gave to an NFQUEUE in vain.
func (d *diagnosis) queue() []Why {
	if d.c.Machine == nil {
		return nil
	}
	if number, ok := d.c.Machine.Queues(); !ok || number > 0 {
		return nil
	}
	return []Why{{Code: QueueWithoutListener, Message: "no program listens to an NFQUEUE in this namespace: start the one " +
		"that the rule is for, or let packets pass without it (iptables --queue-bypass, nft queue ... bypass)"}}
}

// notRouted tells a missing route from routing that is off. The kernel asks the
// interface that the packet came in by.
func (d *diagnosis) notRouted() []Why {
	if d.c.Machine == nil {
		return nil
	}
	local, ok := d.c.Machine.Local(d.f.Destination)
	if !ok || local || !d.f.Destination.IsGlobalUnicast() {
		return nil
	}
	device, ok := d.c.Machine.RouteDevice(d.f.Destination)
	if w := d.forwardingOff(); w != nil {
		if ok && (device == "" || device == d.f.in) {
			return d.notLocal() // there is nowhere to forward it to
		}
		return w
	}
	if !ok || device != "" {
		return nil
	}
	return []Why{{
		Code:    NoRoute,
		Message: fmt.Sprintf("there is no route to %s; choose the GATEWAY that leads there", d.f.Destination),
		Fix:     d.c.Namespace.in(shell("ip", "route", "add", d.f.Destination.String(), "via", "GATEWAY")),
	}}
}

// notLocal: a virtual address that moved on, or never came.
func (d *diagnosis) notLocal() []Why {
	return []Why{{Code: NotLocal, Message: fmt.Sprintf(
		"it came in by %s for %s, which no interface of this host has: the address is missing here, or its sender took the wrong host",
		d.f.in, d.f.Destination)}}
}

func (d *diagnosis) forwardingOff() []Why {
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
		return []Why{{Code: IPForwardOff, Message: fmt.Sprintf(message, d.f.Destination, dotted(all)), Fix: d.sysctl(dotted(all), "1")}}
	}
	if n, ok := d.number(one); ok && n == 0 && d.f.Destination.Is4() {
		name := "net.ipv4.conf." + d.f.in + ".forwarding"
		return []Why{{Code: IPForwardOff, Message: fmt.Sprintf(message, d.f.Destination, name), Fix: d.sysctl(name, "1")}}
	}
	return nil
}

// number reads a sysctl that is one.
func (d *diagnosis) number(path string) (int, bool) {
	if d.c.Machine == nil {
		return 0, false
	}
	text, ok := d.c.Machine.Sysctl(path)
	if !ok {
		return 0, false
	}
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil {
		return 0, false
	}
	return n, true
}

// sysctl writes the command that sets one. A dot in an interface's name stands
// for a slash, as sysctl(8) has it.
func (d *diagnosis) sysctl(name, value string) string {
	if d.f.in != "" {
		name = strings.Replace(name, "."+d.f.in+".", "."+strings.ReplaceAll(d.f.in, ".", "/")+".", 1)
	}
	return d.c.Namespace.in(shell("sysctl", "-w", name+"="+value))
}
