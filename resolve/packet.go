package resolve

import (
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/packet"
)

// packetOf reads the packet's own bytes.
func packetOf(e *event.Event) Packet {
	var p packet.Packet
	packet.Parse(packet.EtherType(e.Protocol), e.Packet(), &p)
	out := headerOf(&p.Header)
	out.Mark = e.Mark
	if e.GSOSegs > 1 {
		out.Segments = int(e.GSOSegs)
	}
	switch {
	case e.Flags&event.VLAN != 0:
		out.VLAN = ref(e.VLANTCI & 0xfff)
	case p.Tagged > 0:
		out.VLAN = ref(p.Tags[0] & 0xfff)
	}
	if e.Flags&event.TupleOnly != 0 {
		return tupleOnly(out)
	}
	if p.HasInner {
		inner := headerOf(&p.Inner)
		out.Inner = &inner
	}
	return out
}

// tupleOnly keeps what a header that was made up from a tuple says truly.
func tupleOnly(p Packet) Packet {
	return Packet{
		Family: p.Family, Protocol: p.Protocol, Source: p.Source, SourcePort: p.SourcePort,
		Destination: p.Destination, DestinationPort: p.DestinationPort, ICMPType: p.ICMPType, ICMPCode: p.ICMPCode,
	}
}

func ref[T any](v T) *T { return &v }

func headerOf(h *packet.Header) Packet {
	out := Packet{
		Family: h.EtherType.String(), Source: h.Source, Destination: h.Destination,
		IPLength: h.IPLength, TTL: h.TTL,
	}
	if h.HasProtocol {
		out.Protocol = h.Protocol.String()
	}
	if h.HasPorts {
		out.SourcePort, out.DestinationPort = ref(h.SourcePort), ref(h.DestinationPort)
	}
	if h.PayloadLength >= 0 {
		out.PayloadLength = ref(h.PayloadLength)
	}
	if h.HasID {
		out.IPID = ref(h.ID)
	}
	if h.HasFragment {
		out.Fragment = &Fragment{ID: h.Fragment.ID, Offset: h.Fragment.Offset, More: h.Fragment.More}
	}
	transportOf(h, &out)
	return out
}

func transportOf(h *packet.Header, out *Packet) {
	if h.HasTCP {
		out.TCPFlags = tcpFlags(h)
		out.TCP = &TCP{Seq: h.TCP.Seq, Ack: h.TCP.Ack, Window: h.TCP.Window}
	}
	if h.HasICMP {
		out.ICMPType, out.ICMPCode = ref(h.ICMP.Type), ref(h.ICMP.Code)
		if h.ICMP.HasEcho {
			out.ICMPID, out.ICMPSeq = ref(h.ICMP.ID), ref(h.ICMP.Seq)
		}
	}
	if h.HasARP {
		switch h.ARP.Operation {
		case packet.ARPRequest:
			out.ARPOperation = "request"
		case packet.ARPReply:
			out.ARPOperation = "reply"
		}
	}
}

func tcpFlags(h *packet.Header) []string {
	names := []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
	var out []string
	for i, name := range names {
		if h.TCP.Flags>>i&1 != 0 {
			out = append(out, name)
		}
	}
	return out
}
