package diagnose

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// dropSet: the dropping rule asks for members of a set, and the packet is one.
func (d *diagnosis) dropSet() []drop.Why {
	by := d.dropper()
	r, s := by.rule, &by.shape
	if r == nil {
		return nil
	}
	for _, m := range s.matches {
		if m.Set == nil || m.Set.Anonymous || m.Negate || d.match(m) != replay.Yes {
			continue
		}
		e, element := d.element(m.Fields, m.Mask, m.Set)
		if e == nil && m.Set.Ask != nil {
			// The kernel was asked: which element holds it is not known, but for
			// what the packet would be as one.
			element, ok := d.memberText(m)
			if ok {
				return []drop.Why{{Code: drop.WhySetMember, Message: fmt.Sprintf("it is in the set %s, whose members %s drops: %s",
					m.Set.Name, d.ruleName(r), element)}}
			}
		}
		if e == nil {
			continue
		}
		w := drop.Why{Code: drop.WhySetMember, Message: fmt.Sprintf("it is in the set %s, whose members %s drops: element %s",
			m.Set.Name, d.ruleName(r), element)}
		exact := bytes.Equal(e.From, e.To)
		if exact && d.onlyUser(m.Set) && d.accepts(d.without(r).rulesets, &d.c.Packet) {
			w.Fix = d.setCommand(m, "delete", element)
		}
		return []drop.Why{w}
	}
	return nil
}

// dropMap: the dropping rule looks the verdict up, and the packet's is a drop. What
// taking the element out would let through is not the packet's alone to say.
func (d *diagnosis) dropMap() []drop.Why {
	by := d.dropper()
	if by.rule == nil {
		return nil
	}
	m := by.lookup
	if m == nil {
		m = verdictMap(by.rule)
	}
	if m == nil {
		return nil
	}
	e, element := d.element(m.Fields, m.Mask, m.Set)
	if e == nil || e.Verdict == nil {
		return nil
	}
	name := "the verdict map"
	if !m.Set.Anonymous {
		name += " " + m.Set.Name
	}
	name += " of " + d.ruleName(by.rule)
	switch {
	case e.Verdict.Kind == ruleset.Drop && by.rule == d.c.Place.Rule:
		return []drop.Why{{Code: drop.WhyVerdictMap, Message: fmt.Sprintf("%s drops %s", name, element)}}
	case e.Verdict.Target != nil && by.rule != d.c.Place.Rule:
		return []drop.Why{{Code: drop.WhyVerdictMap, Message: fmt.Sprintf("%s sends %s to %s, where %s drops it",
			name, element, e.Verdict.Target.Name, d.placeName(d.c.Place))}}
	}
	return nil
}

// onlyUser reports whether one rule at the most asks a set: to change it changes
// nothing else.
func (d *diagnosis) onlyUser(s *ruleset.Set) bool {
	users := 0
	for r := range d.rules() {
		if asks(r.Statements, s) {
			users++
		}
	}
	return users <= 1
}

func asks(list []ruleset.Statement, s *ruleset.Set) bool {
	same := func(o *ruleset.Set) bool {
		return o == s || o != nil && o.Name == s.Name && o.IPSet != "" && s.IPSet != ""
	}
	for _, st := range list {
		switch st := st.(type) {
		case *ruleset.Match:
			if same(st.Set) {
				return true
			}
		case *ruleset.Any:
			for _, of := range st.Of {
				if asks(of, s) {
					return true
				}
			}
		case *ruleset.VerdictMap:
			if same(st.Set) {
				return true
			}
		}
	}
	return false
}

// element is the set's element that holds the packet's value, and how its tool
// writes it; nil where it is not known.
func (d *diagnosis) element(fields []ruleset.Field, mask []byte, s *ruleset.Set) (*ruleset.Element, string) {
	value, ok := d.value(fields)
	if !ok || len(mask) > 0 {
		return nil, ""
	}
	sizes := make([]int, len(fields))
	for i, f := range fields {
		sizes[i] = f.Size()
	}
	for i := range s.Elements {
		e := &s.Elements[i]
		if e.NoMatch || e.CatchAll || !within(e.Range, value, sizes) {
			continue
		}
		text, ok := elementText(fields, e.Range, separator(s))
		if !ok {
			return nil, ""
		}
		return e, text
	}
	return nil, ""
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
		if !between(ruleset.Range{From: r.From[at : at+n], To: r.To[at : at+n]}, value[at:at+n]) {
			return false
		}
		at += n
	}
	return at == len(value)
}

func between(r ruleset.Range, value []byte) bool {
	return bytes.Compare(value, r.From) >= 0 && bytes.Compare(value, r.To) <= 0
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
	var b strings.Builder
	at := 0
	for i, f := range fields {
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
		if separator == "," {
			from = strings.Trim(from, `"`) // ipset reads names as they are
		}
		switch {
		case i == 0:
		case separator == "," && fields[i-1] == ruleset.L4Protocol:
			b.WriteByte(':') // ipset's ports are udp:53
		default:
			b.WriteString(separator)
		}
		b.WriteString(from)
		at += n
	}
	return b.String(), true
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
		name := strings.TrimRight(string(v), "\x00")
		return `"` + name + `"`, interfaceNames.MatchString(name)
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
		if s.Name == "" || s.Name[0] == '-' {
			d.unnamed = true
			return ""
		}
		return d.c.Namespace.in(d.shell("ipset", verb, s.Name, element))
	}
	if s.Table == nil {
		return ""
	}
	return d.c.Namespace.in(d.nftElement(verb, s.Table, s.Name, element))
}

// nftElement adds an element or takes it away.
func (d *diagnosis) nftElement(verb string, t *ruleset.Table, set, element string) string {
	words, ok := ruleset.NFTWords(verb, "element", t, set)
	if !ok {
		d.unnamed = true
		return ""
	}
	return d.shell(append(words, "{ "+element+" }")...)
}
