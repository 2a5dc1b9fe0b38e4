package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/ruleset"
)

// destinationNAT tells filter rules that speak of the address before NAT, and NAT
// rules that this packet did not match.
func (d *diagnosis) destinationNAT() []Why {
	if w := d.oldAddress(); len(w) > 0 {
		return w
	}
	return d.notTranslated()
}

// oldAddress: with the destination that the packet came with, before DNAT, the
// same rules would have accepted it.
func (d *diagnosis) oldAddress() []Why {
	ct := &d.c.Packet.Conntrack
	if !ct.Entry || ct.Direction != 0 {
		return nil
	}
	old, ok := netip.AddrFromSlice(ct.Original.Destination)
	port := ct.Original.DestinationPort
	if !ok || old == d.f.Destination && port == d.f.DestinationPort {
		return nil
	}
	if !d.f.HasPorts {
		port = 0
	}
	before, ok := withDestination(&d.c.Packet, old, port)
	if !ok {
		return nil
	}
	r := d.acceptedBy(d.c.Rulesets, d.c.Place.Base, &before)
	if r == nil {
		return nil
	}
	was, is := old.String(), d.f.Destination.String()
	if d.f.HasPorts {
		was = netip.AddrPortFrom(old, port).String()
		is = netip.AddrPortFrom(d.f.Destination, d.f.DestinationPort).String()
	}
	w := Why{Code: DNATBeforeForward, Message: fmt.Sprintf(
		"%s speaks of %s, but DNAT has made that %s before %s is asked", d.ruleName(r), was, is, d.c.Place.Base.Name)}
	if s, ok := d.specLike(miss{rule: r, accept: r}); ok {
		s.dst = d.f.Destination
		w.Fix = d.fix(s)
	}
	return []Why{w}
}

// notTranslated: a DNAT rule for this service asks for one thing that the packet
// has not.
func (d *diagnosis) notTranslated() []Why {
	if !d.untranslated() {
		return nil
	}
	for _, rs := range d.c.Rulesets {
		for _, t := range rs.Tables {
			if t.Family != d.f.family() && t.Family != "inet" {
				continue
			}
			for _, base := range t.Chains {
				if base.Hook != "prerouting" || base.Type != "nat" && t.Name != "nat" {
					continue
				}
				for _, r := range reachable(base) {
					if w, ok := d.natMiss(r); ok {
						return []Why{w}
					}
				}
			}
		}
	}
	return nil
}

// untranslated reports whether the packet came to this machine as it was sent,
// and is the first of its connection: later ones do not meet NAT rules.
func (d *diagnosis) untranslated() bool {
	ct := &d.c.Packet.Conntrack
	const dstNAT = 1 << 5 // IPS_DST_NAT
	return d.c.Hook.Name == "input" && d.f.HasPorts && ct.State == ruleset.CTNew && (!ct.Entry || ct.Status&dstNAT == 0)
}

func (d *diagnosis) natMiss(r *ruleset.Rule) (Why, bool) {
	s := shapeOf(r)
	if s.nat == nil || s.nat.Kind != ruleset.DNAT && s.nat.Kind != ruleset.Redirect || s.odd || len(s.doubts) > 0 || !s.anchored() {
		return Why{}, false
	}
	failed := single(d.onlyFailure(s.conditions))
	if failed == nil || len(failed.Fields) != 1 {
		return Why{}, false
	}
	var asks, is string
	switch failed.Fields[0] {
	case ruleset.IPSource, ruleset.IP6Source:
		asks, is = "source "+matchText(failed), d.f.Source.String()
	case ruleset.IPDestination, ruleset.IP6Destination:
		asks, is = "destination "+matchText(failed), d.f.Destination.String()
	case ruleset.InName, ruleset.InIndex:
		asks, is = "interface "+matchText(failed), orNone(d.f.in)
	default:
		return Why{}, false
	}
	w := Why{Code: NATNotMatched, Message: fmt.Sprintf("%s would send it on to %s, but asks for %s, and its is %s",
		d.ruleName(r), natTarget(s.nat, d.f.DestinationPort), asks, is)}
	w.Fix = d.natFix(r, s.nat)
	return w, true
}

func natTarget(n *ruleset.NAT, port uint16) string {
	if n.FromPort != 0 {
		port = n.FromPort
	}
	if !n.From.IsValid() {
		return "port " + strconv.Itoa(int(port)) + " here"
	}
	return netip.AddrPortFrom(n.From, port).String()
}

// natFix is the same translation for this packet's own values, before the rule
// that missed it.
func (d *diagnosis) natFix(r *ruleset.Rule, n *ruleset.NAT) string {
	s, ok := d.specLike(miss{rule: r, accept: r})
	if !ok || ownerOf(r.Chain, r) != "" || !n.Known || n.To.IsValid() && n.To != n.From || n.ToPort != 0 && n.ToPort != n.FromPort {
		return ""
	}
	index := slices.Index(r.Chain.Rules, r)
	port := ""
	if n.FromPort != 0 {
		port = strconv.Itoa(int(n.FromPort))
	}
	to := port
	if n.From.IsValid() {
		to = n.From.String()
		if port != "" {
			to = netip.AddrPortFrom(n.From, n.FromPort).String()
		}
	}
	if to == "" {
		return ""
	}
	if r.Chain.Table.Engine == ruleset.NFTables {
		words, _ := s.nft()
		switch {
		case n.Kind == ruleset.Redirect:
			words = append(words, "redirect", "to", ":"+port)
		case r.Chain.Table.Family == "inet":
			words = append(words, "dnat", s.family, "to", to)
		default:
			words = append(words, "dnat", "to", to)
		}
		return d.c.Namespace.in(d.nftInsert(r.Chain, index, strings.Join(words, " ")))
	}
	args := append(s.iptables(), "-j")
	if n.Kind == ruleset.Redirect {
		args = append(args, "REDIRECT", "--to-ports", port)
	} else {
		args = append(args, "DNAT", "--to-destination", to)
	}
	return d.c.Namespace.in(d.iptablesInsert(r.Chain, index, args))
}

// forwarded tells what is between networks, not for this machine.
func (d *diagnosis) forwarded(s *spec, then string) Why {
	w := Why{Code: ForwardDropped, Message: fmt.Sprintf("it is forwarded from %s to %s, and %s",
		orNone(d.f.in), orNone(d.f.out), then)}
	if d.f.in == "" || d.f.in != d.f.out || d.c.Machine == nil {
		return w
	}
	bridge, ok := d.c.Machine.IsBridge(d.f.in)
	on, known := d.c.Machine.Sysctl(bridgeSysctl(s.family))
	ct := &d.c.Packet.Conntrack
	const nat = 1<<4 | 1<<5 // IPS_SRC_NAT, IPS_DST_NAT
	if ok && bridge && known && on == "1" && (!ct.Entry || ct.Status&nat == 0) {
		w.Code = BridgeNetfilter
		w.Message = fmt.Sprintf("it only crosses the bridge %s, but br_netfilter (%s=1) has bridged packets meet the firewall, and %s",
			d.f.in, strings.ReplaceAll(bridgeSysctl(s.family), "/", "."), then)
		s.bridged = d.c.Place.Base.Table.Engine != ruleset.NFTables
		s.in, s.out = d.f.in, d.f.out
	}
	return w
}

func bridgeSysctl(family string) string {
	if family == "ip6" {
		return "net/bridge/bridge-nf-call-ip6tables"
	}
	return "net/bridge/bridge-nf-call-iptables"
}
