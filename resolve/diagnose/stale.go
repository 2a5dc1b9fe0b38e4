package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// stale reports a connection whose entry has another destination than the NAT rules
// would give it now. Only the first packet of a connection meets those rules
// (nf_nat_inet_fn), so that an entry keeps what it got. Whether it is older than the
// rules is not known: entries have no time where nf_conntrack_timestamp is off.
func (d *diagnosis) stale() []drop.Why {
	c := d.connectionEntry()
	const other = netfilter.StatusExpected // a helper has translated it
	if !c.Entry || c.Direction != 0 || c.Status&netfilter.StatusConfirmed == 0 || c.Status&other != 0 {
		return nil
	}
	o := translationOf(&c)
	now, certain, ok := d.translations(&c, o)
	if !ok || slices.ContainsFunc(now, func(t translation) bool { return t.to == o.to || !t.known }) {
		return nil
	}
	was := fmt.Sprintf("its conntrack entry sends it to %s", o.to)
	if o.to == o.from {
		if !certain {
			return nil // it may be left alone now as well
		}
		was = "its conntrack entry has no DNAT"
	} else if c.Status&netfilter.StatusDNAT == 0 {
		return nil // not by a rule: IPVS does so
	}
	w := drop.Why{Code: drop.WhyConntrackStale, Message: was + ", and " + d.wouldSend(now, certain) +
		": an entry keeps the translation of its first packet until it is deleted"}
	w.Fix = d.forgetConnection(&c)
	if w.Fix != "" && len(now) == 1 && certain {
		w.Fix = joined(w.Fix, d.onwardFrom(&c, now[0].to))
	}
	return []drop.Why{w}
}

// staleHere is stale for a drop by rules that see the destination after its
// translation, and that was not meant for this one.
func (d *diagnosis) staleHere() []drop.Why {
	if d.c.Hook.Name != "input" && d.c.Hook.Name != "forward" || !d.byDefault() {
		return nil
	}
	return d.stale()
}

// translation is what a NAT rule makes of a destination.
type translation struct {
	to    netip.AddrPort
	known bool
	rule  *ruleset.Rule
}

// pair is a destination before and after an entry's translation.
type pair struct{ from, to netip.AddrPort }

func translationOf(c *replay.Conntrack) pair {
	from, _ := netip.AddrFromSlice(c.Original.Destination)
	to, _ := netip.AddrFromSlice(c.Reply.Source)
	p := pair{netip.AddrPortFrom(from, c.Original.DestinationPort), netip.AddrPortFrom(to, c.Reply.SourcePort)}
	if !portProtocol(protocolOf(c)) {
		p.from, p.to = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0)
	}
	return p
}

// wouldSend says what the rules make of the connection's first packet: where that is
// not certain, that none of them does what the entry has.
func (d *diagnosis) wouldSend(now []translation, certain bool) string {
	var to []string
	for _, t := range now {
		if name := t.to.String(); !slices.Contains(to, name) {
			to = append(to, strings.TrimSuffix(name, ":0"))
		}
	}
	switch {
	case len(to) == 0 || !certain:
		return "no rule does so now"
	case len(now) == 1:
		return fmt.Sprintf("%s would now send it to %s", d.ruleName(now[0].rule), to[0])
	case len(to) == 1:
		return "the rules would now send it to " + to[0]
	}
	return "the rules would now send it to one of " + someOf(to)
}

// translations are those that the NAT rules may give the connection's first packet
// now. certain: one of them, for all that is not known. ok is false where that
// cannot be told.
func (d *diagnosis) translations(c *replay.Conntrack, o pair) (list []translation, certain, ok bool) {
	h, p, ok := d.firstPacket(c)
	if !ok {
		return nil, false, false
	}
	if h.Name == "prerouting" && o.to == o.from && d.c.Reason == "NO_SOCKET" {
		// The next packet by this interface is the first one of another entry, and
		// nobody takes those of this one.
		p.In = d.c.Packet.In
	}
	e := ofFirstPacket(d.c.Rulesets, o.from.Addr().Is4())
	result := replay.At(e.rulesets, h, &p, d.c.Environment, replay.Options{Steps: true})
	if result.Capped || dropped(result.Verdict) {
		return nil, false, false
	}
	certain, last := true, false
	for i := range result.Steps {
		step := &result.Steps[i]
		if step.Truth == replay.No || step.Rule == nil || step.Base.Type != "nat" && step.Base.Table.Name != "nat" {
			continue
		}
		s := shapeOf(step.Rule)
		switch {
		case s.odd:
			return nil, false, false
		case s.nat != nil:
			list = append(list, d.translated(e.known(step.Rule), s.nat, o.from))
			last = last || step.Truth == replay.Yes
		case s.is(ruleset.Accept, ruleset.Queue):
			certain = certain && step.Truth == replay.Yes && step.Reached == replay.Yes
		case s.verdict != nil: // a jump, or the way back: what follows may not be reached
			certain = certain && step.Truth == replay.Yes
		}
	}
	return list, certain && last, true
}

// translated is where a rule sends the packet.
func (d *diagnosis) translated(r *ruleset.Rule, n *ruleset.NAT, from netip.AddrPort) translation {
	t := translation{rule: r, known: oneTarget(n)}
	to, port := from.Addr(), from.Port()
	if n.From.IsValid() {
		to = n.From
	}
	if n.FromPort != 0 && port != 0 {
		port = n.FromPort
	}
	t.to = netip.AddrPortFrom(to, port)
	// REDIRECT takes an address of the interface that the packet came in by.
	t.known = t.known && n.Kind == ruleset.DNAT
	return t
}

// firstPacket is the connection's first packet as it came to the hook that may
// translate its destination. By which interface is not known: a later packet may take
// another one. Beyond its tuple it is the one that was dropped.
func (d *diagnosis) firstPacket(c *replay.Conntrack) (h replay.Hook, p replay.Packet, ok bool) {
	from, ok := netip.AddrFromSlice(c.Original.Source)
	to, valid := netip.AddrFromSlice(c.Original.Destination)
	if !ok || !valid || d.c.Machine == nil || len(d.c.Rulesets) == 0 || d.f.HasFragment && !d.f.Fragment.First() || from != d.f.Source {
		return h, p, false
	}
	own, known := d.c.Machine.Local(from)
	if !known {
		return h, p, false
	}
	h = replay.Hook{Family: d.f.family(), Name: "prerouting"}
	p = replay.Packet{EtherType: d.c.Packet.EtherType, Bytes: d.c.Packet.Bytes, Length: d.c.Packet.Length, PacketType: -1, UID: -1, GID: -1}
	p.Out = replay.Interface{Known: true}
	if own {
		h.Name, p.In, p.Out = "output", replay.Interface{Known: true}, replay.Interface{}
	}
	if p, ok = withDestination(&p, to, c.Original.DestinationPort); !ok {
		return h, p, false
	}
	p.Conntrack = replay.Conntrack{State: ruleset.CTNew}
	return h, p, true
}

// onwardFrom are the commands for a packet that is sent on, where a rule is known to
// drop it then.
func (d *diagnosis) onwardFrom(c *replay.Conntrack, to netip.AddrPort) []string {
	h, p, ok := d.firstPacket(c)
	if d.c.Hook.Name == "input" || d.c.Hook.Name == "forward" || d.c.Reason == "NO_SOCKET" {
		p.In = d.c.Packet.In // elsewhere the device may be the one that it leaves by
	}
	if !ok || h.Name != "prerouting" || !p.In.Known {
		return nil
	}
	p, ok = withDestination(&p, to.Addr(), to.Port())
	if !ok {
		return nil
	}
	p.Conntrack.Status |= netfilter.StatusDNAT
	next := d.behind(h, &p)
	if next == nil {
		return nil
	}
	f := readFacts(&next.packet)
	s, ok := specOf(&f, next.hook.Name)
	if !ok {
		return nil
	}
	more, _ := d.opened(next, s)
	return more
}

// forgetConnection is the command that deletes an entry; "" where conntrack(8) has no
// words for its protocol.
func (d *diagnosis) forgetConnection(c *replay.Conntrack) string {
	o := &c.Original
	from, _ := netip.AddrFromSlice(o.Source)
	to, _ := netip.AddrFromSlice(o.Destination)
	protocol := protocolOf(c)
	if !portProtocol(protocol) {
		return ""
	}
	words := []string{"conntrack", "-D"}
	if from.Is6() {
		words = append(words, "-f", "ipv6")
	}
	words = append(words, "-p", conntrack.ProtocolName(c.Protocol), "-s", from.String(), "-d", to.String(),
		"--sport", strconv.Itoa(int(o.SourcePort)), "--dport", strconv.Itoa(int(o.DestinationPort)))
	if c.Zone != 0 {
		words = append(words, "-w", strconv.Itoa(int(c.Zone)))
	}
	return d.c.Namespace.in(d.shell(words...))
}

// AsksNAT reports whether the destination is why the kernel dropped the packet, so
// that it matters how NAT's rules would translate it: nobody takes it here, or
// nothing leads there.
func (c *Case) AsksNAT() bool {
	if c.Cause != "kernel" {
		return false
	}
	switch c.Reason {
	case "NO_SOCKET", "NEIGH_FAILED", "IP_OUTNOROUTES", "IP_INNOROUTES", "IP_INADDRERRORS":
		return true
	case "", "NOT_SPECIFIED":
		switch symbol.Base(c.Symbol) {
		case "neigh_invalidate", "arp_error_report", "ndisc_error_report", "ip_error", "ip6_pkt_discard", "ip6_pkt_drop",
			"__udp4_lib_rcv", "__udp6_lib_rcv", "udp_rcv", "udpv6_rcv":
			return true
		}
	}
	return false
}
