package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// destinationNAT tells filter rules that speak of the address before NAT, and NAT
// rules that this packet did not match.
func (d *diagnosis) destinationNAT() []drop.Why {
	if w := d.oldAddress(); len(w) > 0 {
		return w
	}
	return d.notTranslated()
}

// oldAddress: with the destination that the packet came with, before DNAT, the
// same rules would have accepted it.
func (d *diagnosis) oldAddress() []drop.Why {
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
	w := drop.Why{Code: drop.WhyDNATBeforeForward, Message: fmt.Sprintf(
		"%s speaks of %s, but DNAT has made that %s before %s is asked", d.ruleName(r), was, is, d.c.Place.Base.Name)}
	if s, ok := d.specLike(miss{rule: r, accept: r}); ok {
		s.dst = d.f.Destination
		w.Fix = d.fix(s)
	}
	return []drop.Why{w}
}

// notTranslated: a DNAT rule for this service asks for one thing that the packet
// has not.
func (d *diagnosis) notTranslated() []drop.Why {
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
						return []drop.Why{w}
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
	return d.c.Hook.Name == "input" && d.f.HasPorts && ct.State == ruleset.CTNew && (!ct.Entry || ct.Status&netfilter.StatusDNAT == 0)
}

func (d *diagnosis) natMiss(r *ruleset.Rule) (drop.Why, bool) {
	s := shapeOf(r)
	if s.nat == nil || s.nat.Kind != ruleset.DNAT && s.nat.Kind != ruleset.Redirect || s.odd || len(s.doubts) > 0 || !s.anchored() {
		return drop.Why{}, false
	}
	failed := single(d.onlyFailure(s.conditions))
	if failed == nil || len(failed.Fields) != 1 {
		return drop.Why{}, false
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
		return drop.Why{}, false
	}
	w := drop.Why{Code: drop.WhyNATNotMatched, Message: fmt.Sprintf("%s would %s, but asks for %s, and its is %s",
		d.ruleName(r), d.natTarget(s.nat), asks, is)}
	if !failed.Negate { // what is left out by name is meant to be
		w.Fix = d.natFix(r, s.nat)
	}
	return w, true
}

// natTarget tells what the rule would do with the packet.
func (d *diagnosis) natTarget(n *ruleset.NAT) string {
	port := d.f.DestinationPort
	if n.FromPort != 0 {
		port = n.FromPort
	}
	switch {
	case !oneTarget(n):
		return "translate its destination"
	case n.Kind == ruleset.Redirect:
		return "send it on to port " + strconv.Itoa(int(port)) + " here"
	case n.From.IsValid():
		return "send it on to " + netip.AddrPortFrom(n.From, port).String()
	}
	return "send it on to port " + strconv.Itoa(int(port))
}

// oneTarget reports whether every packet is sent to the same address and port.
func oneTarget(n *ruleset.NAT) bool {
	return n.Known && (!n.To.IsValid() || n.To == n.From) && (n.ToPort == 0 || n.ToPort == n.FromPort)
}

// natFix is the same translation for this packet's own values, before the rule
// that missed it.
func (d *diagnosis) natFix(r *ruleset.Rule, n *ruleset.NAT) string {
	s, ok := d.specLike(miss{rule: r, accept: r})
	if !ok || ownerOf(r.Chain, r) != "" || !oneTarget(n) {
		return ""
	}
	s.src = d.f.Source // what the rule was kept from is not sent on for all
	index := slices.Index(r.Chain.Rules, r)
	more, ok := d.translatedBy(r.Chain, index, &s, n)
	if !ok {
		return ""
	}
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
		return joined(d.c.Namespace.in(d.nftInsert(r.Chain, index, strings.Join(words, " "))), more)
	}
	args := append(s.iptables(), "-j")
	if n.Kind == ruleset.Redirect {
		args = append(args, "REDIRECT", "--to-ports", port)
	} else {
		args = append(args, "DNAT", "--to-destination", to)
	}
	return joined(d.c.Namespace.in(d.iptablesInsert(r.Chain, index, args)), more)
}

// joined is a command with those that it needs behind it; "" where it has none.
func joined(command string, more []string) string {
	if command == "" {
		return ""
	}
	return strings.Join(append([]string{command}, more...), " && ")
}

// translatedBy proves that the packet comes to a NAT rule that is put at an index,
// and tells what more it takes for the translated packet to pass.
func (d *diagnosis) translatedBy(chain *ruleset.Chain, index int, s *spec, n *ruleset.NAT) (more []string, ok bool) {
	rule := s.rule(chain)
	rule.Statements[len(rule.Statements)-1] = n
	e := insert(d.c.Rulesets, nil, chain, index, rule)
	h := replay.Hook{Family: d.f.family(), Name: "prerouting"}
	p := d.c.Packet
	p.Out, p.Conntrack = replay.Interface{Known: true}, replay.Conntrack{State: ruleset.CTNew}
	met := false
	result := replay.At(e.rulesets, h, &p, d.c.Environment, replay.Options{Steps: true})
	for i := range result.Steps {
		step := &result.Steps[i]
		met = met || step.Rule != nil && e.known(step.Rule) == rule && step.Truth == replay.Yes && step.Reached == replay.Yes
	}
	if !met {
		return nil, false
	}
	to := d.f.Destination
	if n.From.IsValid() {
		to = n.From
	} else if n.Kind == ruleset.Redirect {
		return nil, true // to an address of the interface, which is not known here
	}
	translated, ok := withDestination(&p, to, n.FromPort)
	if !ok {
		return nil, false
	}
	translated.Conntrack.Status |= netfilter.StatusDNAT
	next := d.behind(h, &translated)
	if next == nil {
		return nil, true
	}
	f := readFacts(&next.packet)
	accept, ok := specOf(&f, next.hook.Name)
	if !ok {
		return nil, false
	}
	return d.opened(next, accept)
}

// forwarded tells what is between networks, not for this machine.
func (d *diagnosis) forwarded(s *spec, then string) drop.Why {
	w := drop.Why{Code: drop.WhyForwardDropped, Message: fmt.Sprintf("it is forwarded from %s to %s, and %s",
		orNone(d.f.in), orNone(d.f.out), then)}
	if !interfaceNames.MatchString(d.f.in) || d.f.in != d.f.out || d.c.Machine == nil {
		return w
	}
	i, ok := d.c.Machine.Interface(d.f.in)
	on, known := d.c.Machine.Sysctl(bridgeSysctl(s.family))
	ct := &d.c.Packet.Conntrack
	const nat = netfilter.StatusSNAT | netfilter.StatusDNAT
	if ok && i.Bridge && known && on == "1" && (!ct.Entry || ct.Status&nat == 0) {
		w.Code = drop.WhyBridgeNetfilter
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
