package resolve

import (
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/tracer/packet"
)

// PacketOf is a packet of a replay as records have it.
func PacketOf(p *replay.Packet) drop.Packet {
	var h packet.Packet
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &h)
	out := drop.HeaderPacket(&h.Header)
	out.Mark = p.Mark
	return out
}
