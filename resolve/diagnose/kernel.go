package diagnose

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
)

// kernel tells drops in which netfilter has no part, by the kernel's reason. The
// words for a reason are package symbol's; what the machine adds is told here.
func (d *diagnosis) kernel() []drop.Why {
	function := symbol.Base(d.c.Symbol)
	if w := d.linkDown(function); w != nil {
		return w
	}
	if strings.HasPrefix(d.c.Reason, "QDISC_") || strings.HasPrefix(d.c.Reason, "FQ_") || d.c.Reason == "CAKE_FLOOD" {
		return d.qdisc()
	}
	if w := d.noRemote(function); w != nil {
		return w
	}
	if !d.f.ip() {
		return nil
	}
	switch {
	case d.c.Overflow:
		return d.acceptQueue()
	case d.c.Deferred:
		return []drop.Why{{Code: drop.WhyDeferredAccept, Message: "nothing is lost: the socket takes the connection when data come (TCP_DEFER_ACCEPT)"}}
	}
	if function == "icmp_rcv" {
		if w := d.toBroadcast(); w != nil {
			return w
		}
	}
	if d.c.AsksNAT() {
		if w := d.stale(); w != nil {
			return w
		}
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
	case "NEIGH_FAILED":
		return d.neighbourSilent()
	case "OTHERHOST":
		return d.otherHost()
	case "PKT_TOO_BIG":
		return d.tooBig()
	case "NO_SOCKET":
		if function == "cookie_v4_check" || function == "cookie_v6_check" {
			return nil // somebody listens, and Overflow says if it was the queue
		}
		return d.noListener()
	case "IP_INHDR":
		if function == "ip_forward" || function == "ip6_forward" {
			return []drop.Why{{Code: drop.WhyTTLExpired, Message: fmt.Sprintf(
				"its TTL ran out here: too many hops lie behind it, or it goes in a circle (%s to %s)", d.f.Source, d.f.Destination)}}
		}
	case "TCP_CSUM", "UDP_CSUM", "ICMP_CSUM", "IP_CSUM":
		return []drop.Why{{Code: drop.WhyBadChecksum, Message: symbol.Explain(function, d.c.Reason) +
			": it was damaged on its way, or an interface that it came by leaves checksums to hardware that is not there"}}
	case "", "NOT_SPECIFIED":
		switch function {
		case "ip_rcv_finish_core":
			return d.refusedByRoute()
		case "neigh_invalidate", "arp_error_report", "ndisc_error_report":
			return d.neighbourSilent()
		case "ip_forward", "ip6_forward", "ip_fragment", "ip6_fragment":
			if w := d.tooBig(); w != nil {
				return w
			}
			return d.notRouted()
		case "ip_error", "__ip_queue_xmit", "inet6_csk_xmit", "ip6_pkt_discard", "ip6_pkt_discard_out", "ip6_pkt_drop",
			"ip6_pkt_prohibit", "ip6_pkt_prohibit_out", "dst_discard", "dst_discard_out":
			return d.notRouted()
		}
	}
	return nil
}

// queue tells a packet that a rule gave to an NFQUEUE in vain.
func (d *diagnosis) queue() []drop.Why {
	if d.c.Machine == nil {
		return nil
	}
	if number, ok := d.c.Machine.Queues(); !ok || number > 0 {
		return nil
	}
	return []drop.Why{{Code: drop.WhyQueueWithoutListener, Message: "no program listens to an NFQUEUE in this namespace: start the one " +
		"that the rule is for, or let packets pass without it (iptables --queue-bypass, nft queue ... bypass)"}}
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
// for a slash, as sysctl(8) has it; other names than usual could end the setting's.
func (d *diagnosis) sysctl(name, value string) string {
	if strings.Contains(name, "."+d.f.in+".") && !interfaceNames.MatchString(d.f.in) {
		d.unnamed = true
		return ""
	}
	if d.f.in != "" {
		name = strings.Replace(name, "."+d.f.in+".", "."+strings.ReplaceAll(d.f.in, ".", "/")+".", 1)
	}
	return d.c.Namespace.in(d.shell("sysctl", "-w", name+"="+value))
}
