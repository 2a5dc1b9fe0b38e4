package diagnose

import (
	"net/netip"

	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// Lookup finds the entry of conntrack's table that has a tuple in either direction.
// The error is [table.ErrNoEntry] where there is none, another one where that is not
// known.
type Lookup func(t *table.Tuple, zone uint16) (*table.Entry, error)

func protocolOf(c *replay.Conntrack) packet.Protocol { return packet.Protocol(c.Protocol) }

// connectionEntry is the packet's own entry: what it still had at the drop, or what
// conntrack's table has for its addresses and ports now. A packet that came to its
// socket has let go of its entry (nf_reset_ct).
func (d *diagnosis) connectionEntry() replay.Conntrack {
	if c := d.c.Packet.Conntrack; c.Entry || d.state != 0 {
		return c
	}
	c, _ := d.lookup()
	return c
}

// lookup asks conntrack's table for the packet's addresses and ports. known is false
// where it could not be asked.
func (d *diagnosis) lookup() (c replay.Conntrack, known bool) {
	e, known := d.entryNow()
	if e == nil {
		return c, known
	}
	c = entryOf(e)
	if e.Original != *d.tuple() {
		c.Direction = 1
	}
	return c, true
}

// tuple is the packet's, as conntrack's table has it.
func (d *diagnosis) tuple() *table.Tuple {
	return &table.Tuple{
		Source: d.f.Source, Destination: d.f.Destination, Protocol: uint8(d.f.Protocol),
		SourcePort: d.f.SourcePort, DestinationPort: d.f.DestinationPort,
	}
}

// zones reports whether a rule puts connections into a zone of their own, so that an
// entry may be in any.
func (d *diagnosis) zones() bool {
	for r := range d.rules() {
		for _, s := range r.Statements {
			if a, ok := s.(*ruleset.Assign); ok && a.Field == ruleset.CTZone {
				return true
			}
		}
	}
	return false
}

func entryOf(e *table.Entry) replay.Conntrack {
	return replay.Conntrack{
		Entry: true, Status: e.Status, Mark: e.Mark, Zone: e.Zone, Protocol: e.Original.Protocol,
		Original: tupleOf(&e.Original), Reply: tupleOf(&e.Reply),
	}
}

func tupleOf(t *table.Tuple) replay.Tuple {
	bytes := func(a netip.Addr) []byte { return a.Unmap().AsSlice() }
	return replay.Tuple{Source: bytes(t.Source), Destination: bytes(t.Destination), SourcePort: t.SourcePort, DestinationPort: t.DestinationPort}
}
