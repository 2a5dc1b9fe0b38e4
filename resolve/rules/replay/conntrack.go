package replay

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// connection reads a field of an entry that is known.
func connection(c *Conntrack, f ruleset.Field) value {
	switch f {
	case ruleset.CTDirection:
		return known([]byte{c.Direction})
	case ruleset.CTStatus:
		return number32(c.Status)
	case ruleset.CTMark:
		return number32(c.Mark)
	case ruleset.CTZone:
		return number16(c.Zone)
	case ruleset.CTProtocol:
		return known([]byte{c.Protocol})
	case ruleset.CTL3Protocol:
		if len(c.Original.Source) == 16 {
			return known([]byte{10})
		}
		return known([]byte{2})
	case ruleset.CTOrigSource:
		return address(c.Original.Source)
	case ruleset.CTOrigDest:
		return address(c.Original.Destination)
	case ruleset.CTReplySource:
		return address(c.Reply.Source)
	case ruleset.CTReplyDest:
		return address(c.Reply.Destination)
	case ruleset.CTOrigSrcPort:
		return number16(c.Original.SourcePort)
	case ruleset.CTOrigDestPort:
		return number16(c.Original.DestinationPort)
	case ruleset.CTReplySrcPort:
		return number16(c.Reply.SourcePort)
	case ruleset.CTReplyDestPort:
		return number16(c.Reply.DestinationPort)
	}
	return notKnown("not recorded of the connection")
}

func address(a []byte) value {
	if len(a) == 0 {
		return notKnown("address of the connection is not known")
	}
	b := make([]byte, 16)
	copy(b, a)
	return known(b)
}

// firstOf is the entry that conntrack makes for the first packet of a connection.
func firstOf(v *view) Conntrack {
	out := Conntrack{State: ruleset.CTNew}
	l := &v.layout
	if l.l4 != Present || l.later {
		return out
	}
	size := 4
	at := 12
	if v.packet.EtherType == etherIPv6 {
		size, at = 16, 8
	}
	if len(v.packet.Bytes) < at+2*size {
		return out
	}
	b := v.packet.Bytes[at:]
	from, to := b[:size:size], b[size:2*size:2*size]
	out.Original, out.Reply = Tuple{Source: from, Destination: to}, Tuple{Source: to, Destination: from}
	out.Protocol, out.Entry = l.protocol, true
	if !hasPorts(l.protocol) {
		return out
	}
	ports, presence := slice(&v.packet, l.transport, 4)
	if presence != Present {
		return Conntrack{State: ruleset.CTNew}
	}
	out.Original.SourcePort = binary.BigEndian.Uint16(ports)
	out.Original.DestinationPort = binary.BigEndian.Uint16(ports[2:])
	out.Reply.SourcePort, out.Reply.DestinationPort = out.Original.DestinationPort, out.Original.SourcePort
	return out
}
