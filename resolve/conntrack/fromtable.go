package conntrack

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
)

// tableTuple turns a tuple of the kernel's memory into one to ask for.
func tableTuple(raw *event.CTTuple) *table.Tuple {
	return &table.Tuple{
		Source: address(raw.L3Num, raw.Src), Destination: address(raw.L3Num, raw.Dst),
		SourcePort:      binary.BigEndian.Uint16(raw.SrcPort[:]),
		DestinationPort: binary.BigEndian.Uint16(raw.DstPort[:]),
		Protocol:        raw.Proto,
	}
}

// ReplyOf is the tuple by which an entry's pool of ports is counted.
func ReplyOf(info *event.CTInfo) *table.Tuple { return tableTuple(&info.Reply) }

// rawTuple is the way back, for what reads the kernel's form.
func rawTuple(t *table.Tuple) event.CTTuple {
	raw := event.CTTuple{L3Num: netfilter.IPv6, Proto: t.Protocol}
	if t.Source.Is4() {
		raw.L3Num = netfilter.IPv4
	}
	copy(raw.Src[:], t.Source.AsSlice())
	copy(raw.Dst[:], t.Destination.AsSlice())
	binary.BigEndian.PutUint16(raw.SrcPort[:], t.SourcePort)
	binary.BigEndian.PutUint16(raw.DstPort[:], t.DestinationPort)
	return raw
}

func entryOfTable(e *table.Entry) *drop.ConntrackEntry {
	info := event.CTInfo{
		Status: e.Status, Zone: e.Zone, Mark: e.Mark, TCPState: e.TCPState,
		Original: rawTuple(&e.Original), Reply: rawTuple(&e.Reply),
	}
	out := entryOf(&info, 0)
	if e.Timeout != 0 {
		out.Timeout = new(int(e.Timeout))
	}
	return out
}

// PoolOf names what a count of ports found.
func PoolOf(p *table.Pool) *drop.PortPool {
	return &drop.PortPool{
		Address: p.Address.String(), Destination: p.Destination.String(),
		Protocol: protocol(p.Protocol), InUse: p.InUse, Low: p.Low, High: p.High,
	}
}

// ProtocolName spells an IP protocol as conntrack does, or as its number.
func ProtocolName(number uint8) string { return protocol(number) }
