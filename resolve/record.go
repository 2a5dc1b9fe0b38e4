package resolve

import (
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
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

// RuleOf is a place of a replay as records have it, without a rule's text.
func RuleOf(p replay.Place) *drop.Rule {
	var bases []*ruleset.Chain
	hook := ""
	if p.Base != nil {
		bases, hook = append(bases, p.Base), p.Base.Hook
	}
	out := describe(p.Chain, bases, hook)
	if p.Rule == nil {
		out.Policy = p.Chain.Policy
	} else {
		out.Handle, out.Number = p.Rule.Handle, p.Rule.Number
	}
	return out
}
