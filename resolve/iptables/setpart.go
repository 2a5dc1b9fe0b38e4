package iptables

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/ipset"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

// setPart is those elements of an ipset whose port means the same.
type setPart struct {
	*ruleset.Set
	ports portKind
}

// portKind is what an ipset takes for a packet's port (ip_set_getport.c).
type portKind uint8

const (
	realPorts portKind = iota // of TCP, UDP, UDP-Lite and SCTP
	icmpPorts                 // ICMP's type and code, for src and dst
	noPorts                   // other protocols: 0, and later fragments match, too
)

func portKindOf(protocol byte) portKind {
	switch protocol {
	case protoTCP, protoUDP, protoUDPLite, protoSCTP:
		return realPorts
	case protoICMP, protoICMPv6:
		return icmpPorts
	}
	return noPorts
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
type setParts map[*ipset.Set][]setPart

func (p setParts) of(set *ipset.Set) []setPart {
	if found, ok := p[set]; ok {
		return found
	}
	parts := []setPart{{Set: set.Set}}
	if at, ok := portOffset(set); ok {
		parts = splitPorts(set.Set, at)
	}
	p[set] = parts
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
	parts := make([]setPart, 3)
	for i := range parts {
		part := *set
		part.Elements = nil
		parts[i] = setPart{Set: &part, ports: portKind(i)}
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
