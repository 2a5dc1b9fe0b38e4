package iptables

import (
	"iter"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// setPart is those elements of an ipset whose port means the same.
type setPart struct {
	*ruleset.Set
	hasPorts bool
	ports    portKind
}

// portKind is what an ipset takes for a packet's port (ip_set_getport.c).
type portKind uint8

const (
	tcpPorts portKind = iota
	udpPorts
	sctpPorts
	icmpPorts // type and code, for src and dst
	noPorts   // other protocols: 0
	portKinds
)

func portKindOf(protocol byte) portKind {
	switch protocol {
	case protoTCP:
		return tcpPorts
	case protoUDP, protoUDPLite:
		return udpPorts
	case protoSCTP:
		return sctpPorts
	case protoICMP, protoICMPv6:
		return icmpPorts
	}
	return noPorts
}

// header is what must be there of a packet that has such a port: the whole
// header. A later fragment has none, which only IPv4's other protocols do without.
func (p setPart) header(family, text string) *ruleset.Header {
	size := [portKinds]int{tcpPorts: 20, udpPorts: 8, sctpPorts: 12, icmpPorts: 8}[p.ports]
	if !p.hasPorts || size == 0 && family == "ip" {
		return nil
	}
	return &ruleset.Header{Size: size, Text: text}
}

// port is the fields of a port's three bytes.
func (p setPart) port(source bool) []ruleset.Field {
	switch {
	case p.ports == icmpPorts:
		return []ruleset.Field{ruleset.L4Protocol, ruleset.ICMPTypeCode}
	case p.ports == noPorts:
		return []ruleset.Field{ruleset.L4Protocol}
	case source:
		return []ruleset.Field{ruleset.L4Protocol, ruleset.SourcePort}
	}
	return []ruleset.Field{ruleset.L4Protocol, ruleset.DestinationPort}
}

// setParts keeps the parts of sets: many rules may use one set.
type setParts struct {
	parts  map[*ipset.Set][]setPart
	filled map[string]bool // by rules
}

func (p *setParts) of(set *ipset.Set) []setPart {
	if found, ok := p.parts[set]; ok {
		return found
	}
	whole := *set.Set
	whole.Dynamic = whole.Dynamic || p.filled[set.Name]
	parts := []setPart{{Set: &whole}}
	if at, ok := portOffset(set); ok {
		parts = splitPorts(&whole, at)
	}
	p.parts[set] = parts
	return parts
}

// portOffset is where the port's three bytes stand in an element.
func portOffset(set *ipset.Set) (offset int, ok bool) {
	for _, dimension := range set.Dimensions {
		switch dimension {
		case "port":
			return offset, true
		case "ip", "net":
			offset += 4
			if set.Family == "ip6" {
				offset += 12
			}
		}
	}
	return 0, false
}

func splitPorts(set *ruleset.Set, at int) []setPart {
	parts := make([]setPart, portKinds)
	for i := range parts {
		part := *set
		part.Elements = nil
		part.Ask = askWith(set.Ask, at, portKind(i))
		parts[i] = setPart{Set: &part, hasPorts: true, ports: portKind(i)}
	}
	for _, e := range set.Elements {
		if len(e.From) < at+3 || len(e.To) < at+3 {
			continue
		}
		kind := portKindOf(e.From[at])
		if kind == noPorts {
			if e.From[at+1] != 0 || e.From[at+2] != 0 {
				continue // no packet has such
			}
			e.From = slices.Concat(e.From[:at+1], e.From[at+3:])
			e.To = slices.Concat(e.To[:at+1], e.To[at+3:])
		}
		parts[kind].Elements = append(parts[kind].Elements, e)
	}
	return parts
}

// askWith is Ask for the values of a part, which are those of its protocols only.
// Where it has no ports, the set's have zeros behind the protocol.
func askWith(ask func([]byte) ruleset.Found, at int, kind portKind) func([]byte) ruleset.Found {
	if ask == nil {
		return nil
	}
	return func(value []byte) ruleset.Found {
		switch {
		case len(value) <= at:
			return ruleset.MaybeThere
		case portKindOf(value[at]) != kind:
			return ruleset.NotFound
		case kind == noPorts:
			value = slices.Concat(value[:at+1], []byte{0, 0}, value[at+1:])
		}
		return ask(value)
	}
}

// Filled are the sets that rules of these lines add elements to or take them
// from (-j SET): what was read of such is old.
func Filled(lines iter.Seq[string]) map[string]bool {
	filled := make(map[string]bool)
	for line := range lines {
		if !strings.Contains(line, "-j SET ") {
			continue
		}
		words, err := splitSave(line)
		if err != nil {
			continue
		}
		for i, w := range words[:max(0, len(words)-1)] {
			if w.text == "--add-set" || w.text == "--del-set" {
				filled[words[i+1].text] = true
			}
		}
	}
	return filled
}
