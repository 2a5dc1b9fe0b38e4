package replay

import "github.com/droptrace/droptrace/resolve/ruleset"

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

// Bits of a connection's status (enum ip_conntrack_status).
const (
	statusConfirmed = 1 << 3
	statusSNAT      = 1 << 4
	statusDNAT      = 1 << 5
)
