package resolve

import (
	"context"
	"encoding/binary"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/event"
)

// caseOf is what a diagnosis is told of a drop, without its ruleset.
func (r *Resolver) caseOf(n *namespace, e *event.Event, d *drop.Drop) *diagnose.Case {
	c := &diagnose.Case{
		Packet:  replayPacket(e, d),
		Verdict: d.Verdict, Cause: d.Cause, Reason: d.Reason, Function: d.Function,
		Conntrack: d.Conntrack,
		Namespace: diagnose.Namespace{Name: n.info.Name, PID: n.info.PID, Own: n.info.Own},
	}
	c.Symbol = r.freedAt(e).function
	c.Overflow, c.Deferred = e.Flags&event.Overflow != 0, e.Flags&event.Deferred != 0
	c.Lookup = func(t *table.Tuple, zone uint16) (*table.Entry, error) {
		return n.ct.lookup(context.Background(), n, r.Ctnetlink, r.now(), t, zone)
	}
	c.Each = func(visit func(*table.Entry) error) error { return n.ct.each(n, r.Ctnetlink, r.now(), visit) }
	if n.machine != nil {
		c.Machine, c.Environment = n.machine, n.machine
	}
	if e.Hook != event.NoHook {
		c.Hook = replay.Hook{Family: netfilter.FamilyName(e.PF), Name: d.Hook}
		if d.Hook == "ingress" && d.In != nil {
			c.Hook.Device = d.In.Name
		}
	}
	return c
}

// replayPacket is the packet as rules saw it at its drop.
func replayPacket(e *event.Event, d *drop.Drop) replay.Packet {
	p := replay.Packet{
		EtherType: e.Protocol, Bytes: e.Packet(), Length: d.Packet.IPLength,
		Mark: e.Mark, MarkKnown: true, PacketType: int(e.PktType), UID: -1, GID: -1,
		Conntrack: replayConntrack(e, d),
	}
	if e.GSOSegs > 1 {
		p.Length = 0 // the headers speak of what it will be cut into
	}
	if e.Hook == event.NoHook {
		if e.DevIndex != 0 {
			p.In = replay.Interface{Known: true, Index: e.DevIndex, Name: event.Text(e.DevName[:])}
		}
		if n := int(e.Bytes.LinkLength); n <= len(e.Data) && e.Bytes.DeviceType == 1 { // ARPHRD_ETHER
			p.Link = e.Data[:n:n]
		}
		return p
	}
	p.In, p.Out = replay.Interface{Known: true}, replay.Interface{Known: true}
	if d.In != nil {
		p.In.Index, p.In.Name = d.In.Index, d.In.Name
	}
	if d.Out != nil {
		p.Out.Index, p.Out.Name = d.Out.Index, d.Out.Name
	}
	if d.Hook == "output" || d.Hook == "postrouting" {
		p.UID, p.GID = owner(&e.Socket)
	}
	return p
}

// owner is whom owner matches compare with: the user and group of the socket's file
// (xt_owner's owner_mt, nft_meta_get_eval_skugid). A socket without a file has none.
func owner(s *event.SocketInfo) (uid, gid int) {
	if s.Inode == 0 {
		return -2, -2
	}
	return int(s.FileUID), int(s.FileGID)
}

func replayConntrack(e *event.Event, d *drop.Drop) replay.Conntrack {
	var c replay.Conntrack
	if d.Conntrack == nil {
		return c
	}
	c.State = ruleset.StateBit(d.Conntrack.State)
	if e.CT.Present != event.CTEntry {
		return c
	}
	c.Entry, c.Status, c.Mark, c.Zone = true, e.CT.Status, e.CT.Mark, e.CT.Zone
	if d.Conntrack.Dir == "reply" {
		c.Direction = 1
	}
	c.Original, c.Reply = replayTuple(&e.CT.Original), replayTuple(&e.CT.Reply)
	c.Protocol = e.CT.Original.Proto
	return c
}

func replayTuple(t *event.CTTuple) replay.Tuple {
	size := 16
	if t.L3Num == 2 { // AF_INET
		size = 4
	}
	return replay.Tuple{
		Source: t.Src[:size:size], Destination: t.Dst[:size:size],
		SourcePort: binary.BigEndian.Uint16(t.SrcPort[:]), DestinationPort: binary.BigEndian.Uint16(t.DstPort[:]),
	}
}
