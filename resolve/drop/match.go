package drop

import (
	"github.com/droptrace/droptrace/tracer/filter"
	"github.com/droptrace/droptrace/tracer/packet"
)

// MatchDrop evaluates a filter of filter.ParseRecorded on a drop that was resolved
// before. device is the packet's interface, "" where it is not known.
func MatchDrop(f *filter.Filter, d *Drop, device string) bool {
	r := filter.Recorded{
		Netns: d.Netns.Inode, NetnsName: d.Netns.Name, NetnsPID: d.Netns.PID,
		Reason: d.Reason, Mark: d.Packet.Mark, Hook: d.Hook,
		Netfilter: d.Hook != "" || d.Cause != "kernel",
		Device:    device, Protocol: d.Packet.Protocol, Packet: endpoints(&d.Packet),
	}
	if d.In != nil {
		r.In = d.In.Name
	}
	if d.Out != nil {
		r.Out = d.Out.Name
	}
	if d.Packet.Inner != nil {
		r.Inner = endpoints(d.Packet.Inner)
	}
	if d.Rule != nil {
		r.Table, r.Chain = d.Rule.Table, d.Rule.Chain
	}
	if c := d.Conntrack; c != nil {
		r.CTState = c.State
		own, other := c.Original, c.Reply
		if c.Dir == "reply" {
			own, other = other, own
		}
		r.Own, r.Other = tupleEndpoints(own), tupleEndpoints(other).Mirror()
	}
	return f.MatchRecorded(&r)
}

func endpoints(p *Packet) filter.Endpoints {
	e := filter.Endpoints{Source: p.Source, Destination: p.Destination}
	if p.SourcePort != nil && p.DestinationPort != nil {
		e.SourcePort, e.DestinationPort, e.HasPorts = *p.SourcePort, *p.DestinationPort, true
	}
	return e
}

func tupleEndpoints(t *Tuple) filter.Endpoints {
	if t == nil {
		return filter.Endpoints{}
	}
	p, ok := packet.ParseProtocol(t.Protocol)
	return filter.Endpoints{
		Source: t.Source, Destination: t.Destination,
		SourcePort: t.SourcePort, DestinationPort: t.DestinationPort, HasPorts: ok && p.HasPorts(),
	}
}
