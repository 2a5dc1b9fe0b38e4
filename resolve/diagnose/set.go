package diagnose

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// dropSet: the dropping rule asks for members of a set, and the packet is one.
func (d *diagnosis) dropSet() []Why {
	r := d.c.Place.Rule
	if r == nil {
		return nil
	}
	s := shapeOf(r)
	for _, m := range s.matches {
		if m.Set == nil || m.Set.Anonymous || m.Negate || d.match(m) != replay.Yes {
			continue
		}
		element, exact, ok := d.element(m)
		if !ok {
			continue
		}
		w := Why{Code: SetMember, Message: fmt.Sprintf("it is in the set %s, whose members %s drops: element %s",
			m.Set.Name, d.ruleName(r), element)}
		if exact && d.accepts(without(d.c.Rulesets, r).rulesets, &d.c.Packet) {
			w.Fix = d.setCommand(m, "delete", element)
		}
		return []Why{w}
	}
	return nil
}

// element is the set's element that holds the packet's value, as its tool writes
// it. exact is false where the element holds other values, too.
func (d *diagnosis) element(m *ruleset.Match) (text string, exact, ok bool) {
	value, ok := d.value(m.Fields)
	if !ok || len(m.Mask) > 0 {
		return "", false, false
	}
	sizes := make([]int, len(m.Fields))
	for i, f := range m.Fields {
		sizes[i] = f.Size()
	}
	for i := range m.Set.Elements {
		e := &m.Set.Elements[i]
		if e.NoMatch || e.CatchAll || !within(e.Range, value, sizes) {
			continue
		}
		text, ok = elementText(m.Fields, e.Range, separator(m.Set))
		return text, bytes.Equal(e.From, e.To), ok
	}
	return "", false, false
}

func separator(s *ruleset.Set) string {
	if s.IPSet != "" {
		return ","
	}
	return " . "
}

// within compares field by field: of a concatenation each is a range of its own.
func within(r ruleset.Range, value []byte, sizes []int) bool {
	if len(r.From) != len(value) || len(r.To) != len(value) {
		return false
	}
	at := 0
	for _, n := range sizes {
		if at+n > len(value) {
			return false
		}
		if bytes.Compare(value[at:at+n], r.From[at:at+n]) < 0 || bytes.Compare(value[at:at+n], r.To[at:at+n]) > 0 {
			return false
		}
		at += n
	}
	return at == len(value)
}

// value is what the packet has in the fields that sets usually hold.
func (d *diagnosis) value(fields []ruleset.Field) ([]byte, bool) {
	var out []byte
	for _, f := range fields {
		v, ok := d.fieldValue(f)
		if !ok || len(v) != f.Size() {
			return nil, false
		}
		out = append(out, v...)
	}
	return out, len(out) > 0
}

func (d *diagnosis) fieldValue(f ruleset.Field) ([]byte, bool) {
	port := func(n uint16) []byte { return []byte{byte(n >> 8), byte(n)} }
	switch f {
	case ruleset.IPSource, ruleset.IP6Source:
		return d.f.Source.AsSlice(), d.f.Source.IsValid()
	case ruleset.IPDestination, ruleset.IP6Destination:
		return d.f.Destination.AsSlice(), d.f.Destination.IsValid()
	case ruleset.SourcePort:
		return port(d.f.SourcePort), d.f.HasPorts
	case ruleset.DestinationPort:
		return port(d.f.DestinationPort), d.f.HasPorts
	case ruleset.L4Protocol:
		return []byte{byte(d.f.Protocol)}, d.f.HasProtocol
	case ruleset.InName:
		return interfaceName(d.f.in), d.f.in != ""
	case ruleset.OutName:
		return interfaceName(d.f.out), d.f.out != ""
	}
	return nil, false
}

// elementText writes a value or interval.
func elementText(fields []ruleset.Field, r ruleset.Range, separator string) (string, bool) {
	var parts []string
	at := 0
	for _, f := range fields {
		n := f.Size()
		if at+n > len(r.From) || at+n > len(r.To) {
			return "", false
		}
		from, ok1 := valueText(f, r.From[at:at+n])
		to, ok2 := valueText(f, r.To[at:at+n])
		if !ok1 || !ok2 {
			return "", false
		}
		if from != to {
			from = intervalText(f, r.From[at:at+n], r.To[at:at+n], from, to)
		}
		parts = append(parts, from)
		at += n
	}
	return strings.Join(parts, separator), true
}

// intervalText prefers a prefix, as nft and ipset do.
func intervalText(f ruleset.Field, first, last []byte, from, to string) string {
	if a, ok := netip.AddrFromSlice(first); ok && len(first) >= 4 {
		for bits := a.BitLen(); bits >= 0; bits-- {
			p := netip.PrefixFrom(a, bits)
			if p.Masked().Addr() == a && bytes.Equal(lastOf(p), last) {
				return p.String()
			}
		}
	}
	return from + "-" + to
}

func lastOf(p netip.Prefix) []byte {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return b
}

func valueText(f ruleset.Field, v []byte) (string, bool) {
	switch f {
	case ruleset.IPSource, ruleset.IP6Source, ruleset.IPDestination, ruleset.IP6Destination:
		a, ok := netip.AddrFromSlice(v)
		return a.String(), ok
	case ruleset.SourcePort, ruleset.DestinationPort:
		return strconv.Itoa(int(v[0])<<8 | int(v[1])), true
	case ruleset.L4Protocol:
		return packet.Protocol(v[0]).String(), true
	case ruleset.InName, ruleset.OutName:
		return `"` + strings.TrimRight(string(v), "\x00") + `"`, true
	}
	return "", false
}

// setCommand adds an element or takes it away.
func (d *diagnosis) setCommand(m *ruleset.Match, verb, element string) string {
	s := m.Set
	if s.IPSet != "" {
		if verb == "delete" {
			verb = "del"
		}
		if strings.HasPrefix(s.Name, "-") {
			return ""
		}
		if strings.Contains(s.IPSet, "port") {
			element = ipsetElement(s.IPSet, element, d.f.Protocol)
		}
		return d.c.Namespace.in(shell("ipset", verb, s.Name, element))
	}
	if s.Table == nil || !nftIdentifier.MatchString(s.Table.Name) || !nftIdentifier.MatchString(s.Name) {
		return ""
	}
	return d.c.Namespace.in(shell("nft", verb, "element", s.Table.Family, s.Table.Name, s.Name, "{ "+element+" }"))
}

// ipsetElement puts the protocol before ports: hash:ip,port holds it with them.
func ipsetElement(kind, element string, p packet.Protocol) string {
	kinds := strings.Split(strings.TrimPrefix(kind[strings.IndexByte(kind, ':')+1:], ":"), ",")
	parts := strings.Split(element, ",")
	if len(kinds) != len(parts) || strings.HasPrefix(kind, "bitmap") {
		return element
	}
	for i, k := range kinds {
		if k == "port" {
			parts[i] = p.String() + ":" + parts[i]
		}
	}
	return strings.Join(parts, ",")
}
