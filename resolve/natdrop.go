package resolve

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/packet"
)

// Types of redirects: ICMP_REDIRECT, NDISC_REDIRECT.
const (
	icmpRedirect   = 5
	icmpv6Redirect = 137
)

// natRefuses reports whether NAT's hook drops the packet if it gets there: a redirect
// about a connection that is translated, or of which NAT has not decided yet whether
// to (nf_nat_icmp_reply_translation, nf_nat_icmpv6_reply_translation; 5.10 to 7.2).
// That is so for each connection that was there before the first NAT chain.
func natRefuses(e *event.Event) bool {
	const related, relatedReply = 1, 4 // IP_CT_RELATED, IP_CT_RELATED_REPLY
	if e.CT.Present != event.CTEntry || e.CT.CTInfo != related && e.CT.CTInfo != relatedReply {
		return false
	}
	var p packet.Packet
	packet.Parse(packet.EtherType(e.Protocol), e.Packet(), &p)
	if !p.HasICMP {
		return false
	}
	if p.Protocol == packet.ProtoICMP && p.ICMP.Type != icmpRedirect || p.Protocol == packet.ProtoICMPv6 && p.ICMP.Type != icmpv6Redirect {
		return false
	}
	done := e.CT.Status & netfilter.StatusNATDone
	return done != netfilter.StatusNATDone || e.CT.Status&(netfilter.StatusSNAT|netfilter.StatusDNAT) != 0
}

// blameNAT answers where the frame does not show which hook dropped and rules are no
// better answer: NAT's hook has what it drops before it. Where the frame shows NAT's
// hook, it is no chain behind it: those see no error of a known connection.
func (r *Resolver) blameNAT(e *event.Event, d *drop.Drop) bool {
	if e.Flags&event.NATHere == 0 || !natRefuses(e) {
		return false
	}
	function, certainty := "nf_nat_inet_fn", drop.Probable
	if e.HookFn != 0 {
		function, certainty = r.hookFunction(e.HookFn), drop.Certain
	}
	if !isNAT(function) {
		return false
	}
	d.Cause, d.Function = "hook", function
	d.Attribution = drop.Attribution{Certainty: certainty, Method: "hook"}
	explainNAT(e, d)
	return true
}

func isNAT(function string) bool { return strings.HasPrefix(function, "nf_nat_") }

// explainNAT says why NAT's own hook dropped.
func explainNAT(e *event.Event, d *drop.Drop) {
	if !isNAT(d.Function) || !natRefuses(e) {
		return
	}
	d.Why = append(d.Why, drop.Why{Code: drop.WhyNATRedirect,
		Message: "NAT drops ICMP redirects about connections that it translates or that began before its first rule; no traffic is lost, the sender only keeps its route"})
}
