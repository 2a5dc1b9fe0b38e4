package diagnose

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// nearly tells rules that are about this service, but for another source,
// destination, interface or set member.
func (d *diagnosis) nearly() []drop.Why {
	var out []drop.Why
	seen := make(map[string]bool)
	for _, m := range d.misses() {
		s := shapeOf(m.accept)
		own := shapeOf(m.rule)
		if !s.anchored() && !own.anchored() {
			continue
		}
		w, ok := d.missed(m)
		if !ok || seen[w.Code] {
			continue
		}
		seen[w.Code] = true
		out = append(out, w)
	}
	return out
}

// missed tells one near miss.
func (d *diagnosis) missed(m miss) (drop.Why, bool) {
	if len(m.match.Fields) != 1 && m.match.Set == nil {
		return drop.Why{}, false
	}
	name, what := d.ruleName(m.accept), d.f.service()
	if stateMatchOf(m.accept) != nil && d.inConnection() {
		what = "what belongs to an open connection"
	}
	if m.accept != m.rule {
		name += ", to which " + d.ruleName(m.rule) + " leads,"
	}
	if set := m.match.Set; set != nil && !set.Anonymous && !m.match.Negate && !set.Dynamic {
		return d.notMember(m, name)
	}
	w := drop.Why{}
	switch m.match.Fields[0] {
	case ruleset.IPSource, ruleset.IP6Source:
		w.Code = drop.WhySourceTooNarrow
		w.Message = fmt.Sprintf("%s accepts %s only from %s, and it came from %s",
			name, what, matchText(m.match), d.f.Source)
	case ruleset.IPDestination, ruleset.IP6Destination:
		w.Code = drop.WhyDestinationTooNarrow
		w.Message = fmt.Sprintf("%s accepts %s only to %s, and it goes to %s",
			name, what, matchText(m.match), d.f.Destination)
	case ruleset.InName, ruleset.InIndex:
		w.Code = drop.WhyInterfaceMismatch
		w.Message = fmt.Sprintf("%s accepts %s only if it comes in by %s, and it came in by %s",
			name, what, matchText(m.match), orNone(d.f.in))
	case ruleset.OutName, ruleset.OutIndex:
		w.Code = drop.WhyInterfaceMismatch
		w.Message = fmt.Sprintf("%s accepts %s only if it goes out by %s, and it goes out by %s",
			name, what, matchText(m.match), orNone(d.f.out))
	default:
		return w, false
	}
	if s, ok := d.specLike(m); ok && !m.match.Negate { // who is left out by name is meant to be
		d.inScope(&w, s, m.match)
	}
	return w, true
}

// inScope gives a near miss a fix for the single host. Where the rule is for more, the
// message has the command for all of the packet's network or interface.
func (d *diagnosis) inScope(w *drop.Why, s spec, missed *ruleset.Match) {
	narrow, ok := d.ownScope(s)
	if !ok {
		return
	}
	if w.Fix = d.fix(narrow); w.Fix == "" {
		return
	}
	wide, opens := s, ""
	switch missed.Fields[0] {
	case ruleset.IPSource, ruleset.IP6Source:
		if wide.from = d.network(d.f.Source); wide.from.IsValid() && !hostsOnly(missed) {
			wide.src, opens = netip.Addr{}, "of "+wide.from.String()
		}
	case ruleset.InName, ruleset.InIndex:
		if d.inner(d.f.in) {
			opens = "that comes in by " + d.f.in
		}
	case ruleset.OutName, ruleset.OutIndex:
		if d.inner(d.f.out) {
			opens = "that goes out by " + d.f.out
		}
	}
	if opens == "" || wide.src.IsValid() {
		return
	}
	if fix := d.fix(wide); fix != "" && fix != w.Fix {
		w.Message += fmt.Sprintf("; for all %s: %s", opens, fix)
	}
}

// ownScope is the spec for the packet's source alone or, of hosts that have no address
// yet, for its interface.
func (d *diagnosis) ownScope(s spec) (spec, bool) {
	switch {
	case d.c.Hook.Name == "output":
	case d.f.Source.IsUnspecified():
		s.src, s.in = netip.Addr{}, d.f.in
		return s, interfaceNames.MatchString(s.in)
	default:
		s.src = d.f.Source
	}
	return s, true
}

// hostsOnly reports whether a match is for single addresses, or for none that can be
// read.
func hostsOnly(m *ruleset.Match) bool {
	list, mask, ok := spans(m)
	if !ok || mask != nil {
		return true
	}
	return !slices.ContainsFunc(list, func(r ruleset.Range) bool { return !bytes.Equal(r.From, r.To) })
}

// inner reports whether an interface is known to have no default route.
func (d *diagnosis) inner(name string) bool {
	n, is := d.c.Machine.(Networks)
	if !is || name == "" {
		return false
	}
	out, ok := n.Default(name)
	return ok && !out
}

// network is the network of this host's interfaces that an address is in; not valid
// where there is none.
func (d *diagnosis) network(a netip.Addr) netip.Prefix {
	n, is := d.c.Machine.(Networks)
	if !is {
		return netip.Prefix{}
	}
	p, _ := n.Network(a)
	return p
}

// Networks is a [Machine] that knows the networks of its interfaces.
type Networks interface {
	// Network is the one that an address is in.
	Network(a netip.Addr) (p netip.Prefix, ok bool)
	// Default reports whether a default route leaves by an interface.
	Default(device string) (is, ok bool)
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

// notMember: the rule accepts members of a set, and the packet is none.
func (d *diagnosis) notMember(m miss, name string) (drop.Why, bool) {
	value, ok := d.value(m.match.Fields)
	known := m.match.Set.Complete || m.match.Set.Ask != nil
	if !ok || !known || len(m.match.Mask) > 0 {
		return drop.Why{}, false
	}
	element, ok := elementText(m.match.Fields, ruleset.Range{From: value, To: value}, separator(m.match.Set))
	if !ok {
		return drop.Why{}, false
	}
	w := drop.Why{Code: drop.WhySetMember, Message: fmt.Sprintf("%s accepts only what is in the set %s, and %s is not",
		name, m.match.Set.Name, element)}
	if !slices.ContainsFunc(m.match.Fields, fromSomewhere) {
		return drop.Why{}, false // to add it would open a service to all
	}
	if m.match.Set.Holes {
		return w, true // it may be left out by name
	}
	if !d.onlyUser(m.match.Set) {
		if s, ok := d.specLike(m); ok {
			w.Fix = d.fix(s)
		}
	} else if d.accepts(d.relaxed(m.rule, m.step).rulesets, &d.c.Packet) && ownerOf(m.rule.Chain, m.rule) == "" {
		w.Fix = d.setCommand(m.match, "add", element)
	}
	return w, true
}

func fromSomewhere(f ruleset.Field) bool {
	return f == ruleset.IPSource || f == ruleset.IP6Source
}

// specLike is a rule that asks for the packet's own values wherever the rule that
// nearly accepted it asks for any. ok is false where that rule asks for what a
// spec cannot: the copy would open more.
func (d *diagnosis) specLike(m miss) (spec, bool) {
	s, ok := d.like(m)
	return s, ok && s.proto != 0
}

// like is specLike of any protocol.
func (d *diagnosis) like(m miss) (spec, bool) {
	rules := []*ruleset.Rule{m.rule}
	if m.accept != m.rule {
		rules = append(rules, m.accept)
	}
	s := spec{family: d.f.family()}
	for _, r := range rules {
		sh := shapeOf(r)
		if !sh.simple() {
			return s, false
		}
		for _, match := range sh.matches {
			for _, f := range match.Fields {
				if !d.copyField(&s, f) {
					return s, false
				}
			}
		}
	}
	return s, true
}

// copyField has the spec ask for the packet's value of a field.
func (d *diagnosis) copyField(s *spec, f ruleset.Field) bool {
	switch f {
	case ruleset.IPSource, ruleset.IP6Source:
		s.src = d.f.Source
	case ruleset.IPDestination, ruleset.IP6Destination:
		s.dst = d.f.Destination
	case ruleset.InName, ruleset.InIndex:
		s.in = d.f.in
		return interfaceNames.MatchString(s.in)
	case ruleset.OutName, ruleset.OutIndex:
		s.out = d.f.out
		return interfaceNames.MatchString(s.out)
	case ruleset.L4Protocol, ruleset.IPProtocol:
		s.proto = d.f.Protocol
	case ruleset.DestinationPort:
		s.proto, s.dport = d.f.Protocol, d.f.DestinationPort
		return d.f.HasPorts && portProtocol(s.proto)
	case ruleset.ICMPType, ruleset.ICMPTypeCode:
		s.icmpType, s.hasICMPType = d.f.ICMP.Type, true
		return d.f.HasICMP
	case ruleset.NFProto, ruleset.EtherType, ruleset.CTState:
		// The family is asked for anyhow. Answers have the state rule: what is
		// accepted here is one service.
	default:
		return false
	}
	return true
}

// matchText is what a match asks for, without its option's name.
func matchText(m *ruleset.Match) string {
	if m.Set != nil && !m.Set.Anonymous {
		if m.Negate {
			return "others than the set " + m.Set.Name
		}
		return "the set " + m.Set.Name
	}
	ranges := m.Ranges
	if m.Set != nil {
		for i := range m.Set.Elements {
			ranges = append(ranges[:len(ranges):len(ranges)], m.Set.Elements[i].Range)
		}
	}
	var parts []string
	for _, r := range ranges {
		text, ok := rangeText(m, r)
		if !ok {
			return m.Text
		}
		parts = append(parts, text)
		if len(parts) == 4 && len(ranges) > 4 {
			parts = append(parts, fmt.Sprintf("and %d more", len(ranges)-4))
			break
		}
	}
	text := strings.Join(parts, ", ")
	if text == "" {
		return m.Text
	}
	if m.Negate {
		return "others than " + text
	}
	return text
}

func rangeText(m *ruleset.Match, r ruleset.Range) (string, bool) {
	if len(m.Fields) != 1 {
		return elementText(m.Fields, r, " . ")
	}
	switch f := m.Fields[0]; f {
	case ruleset.InName, ruleset.OutName:
		return interfaceText(r), true
	case ruleset.InIndex, ruleset.OutIndex:
		return "", false
	case ruleset.IPSource, ruleset.IP6Source, ruleset.IPDestination, ruleset.IP6Destination:
		if len(m.Mask) == len(r.From) && bytes.Equal(r.From, r.To) {
			if bits, ok := prefixBits(m.Mask); ok {
				a, _ := netip.AddrFromSlice(r.From)
				return netip.PrefixFrom(a, bits).String(), true
			}
			return "", false
		}
	}
	return elementText(m.Fields, r, " . ")
}

// interfaceText writes a name, or a wildcard: all names that begin alike.
func interfaceText(r ruleset.Range) string {
	from := strings.TrimRight(string(r.From), "\x00")
	if bytes.Equal(r.From, r.To) {
		return from
	}
	return from + "+"
}

func prefixBits(mask []byte) (int, bool) {
	bits := 0
	for i := range len(mask) * 8 {
		if mask[i/8]&(0x80>>(i%8)) == 0 {
			break
		}
		bits++
	}
	for i := bits; i < len(mask)*8; i++ {
		if mask[i/8]&(0x80>>(i%8)) != 0 {
			return 0, false
		}
	}
	return bits, true
}
