package drop

import (
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/packet"
)

const tagLength = 4 // of a VLAN tag in the bytes

// EventPacket reads the packet's own bytes.
func EventPacket(e *event.Event) Packet {
	out := readPacket(e.Headers(), e.Packet())
	if e.Flags&event.TupleOnly != 0 {
		return tupleOnly(out)
	}
	if e.Flags&event.Headerless != 0 {
		out.IPID = nil
	}
	out.Mark = e.Mark
	if e.GSOSegs > 1 {
		out.Segments = int(e.GSOSegs)
	}
	if e.Flags&event.VLAN != 0 {
		out.VLAN = new(e.VLANTCI & 0xfff)
	}
	return out
}

// ReadPacket reads bytes that begin at the network header; etherType tells which.
func ReadPacket(etherType uint16, b []byte) Packet {
	var p packet.Packet
	packet.Parse(packet.EtherType(etherType), b, &p)
	return readPacket(&p, b)
}

// readPacket has the bytes of what was parsed, for what parsing leaves out.
func readPacket(p *packet.Packet, b []byte) Packet {
	out := HeaderPacket(&p.Header)
	if p.Tagged > 0 {
		out.VLAN = new(p.Tags[0] & 0xfff)
	}
	if p.HasARP {
		out.PayloadLength = new(len(b) - tagLength*p.Tagged) // padding and all, as tcpdump counts
	}
	if p.HasTCP {
		out.TCP.Options = tcpOptions(optionBytes(p, b))
	}
	if p.HasInner {
		inner := HeaderPacket(&p.Inner)
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

// optionBytes finds the TCP options, as far as they were captured.
func optionBytes(p *packet.Packet, b []byte) []byte {
	const fixed = 20
	at := tagLength*p.Tagged + p.TCP.Offset
	from, to := at+fixed, at+p.TCP.HeaderLength
	if to > len(b) || from > to {
		return nil
	}
	return b[from:to]
}

// HeaderPacket is a header, once parsed, as records have it.
func HeaderPacket(h *packet.Header) Packet {
	// What a Packet points to, in one piece of memory.
	s := &struct {
		source, destination, id uint16
		payload                 int
	}{h.SourcePort, h.DestinationPort, h.ID, h.PayloadLength}
	out := Packet{
		Family: h.EtherType.String(), Source: h.Source, Destination: h.Destination,
		IPLength: h.IPLength, TTL: h.TTL,
	}
	if h.HasProtocol {
		out.Protocol = h.Protocol.String()
	}
	if h.HasPorts {
		out.SourcePort, out.DestinationPort = &s.source, &s.destination
	}
	if h.PayloadLength >= 0 {
		out.PayloadLength = &s.payload
	}
	if h.HasID {
		out.IPID = &s.id
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
		out.TCP = &TCP{Seq: h.TCP.Seq, Ack: h.TCP.Ack, Window: h.TCP.Window, Urgent: h.TCP.Urgent}
	}
	if h.HasICMP {
		out.ICMPType, out.ICMPCode = new(h.ICMP.Type), new(h.ICMP.Code)
		if h.ICMP.HasEcho {
			out.ICMPID, out.ICMPSeq = new(h.ICMP.ID), new(h.ICMP.Seq)
		}
		icmpOf(h, out)
	}
	if h.HasARP {
		if h.ARP.SenderHardware != [6]byte{} {
			out.ARPSource = net.HardwareAddr(h.ARP.SenderHardware[:]).String()
			out.ARPTarget = net.HardwareAddr(h.ARP.TargetHardware[:]).String()
		}
		switch h.ARP.Operation {
		case packet.ARPRequest:
			out.ARPOperation = "request"
		case packet.ARPReply:
			out.ARPOperation = "reply"
		}
	}
}

// icmpOf reads what only some types have.
func icmpOf(h *packet.Header, out *Packet) {
	v6 := h.Protocol == packet.ProtoICMPv6
	switch {
	case v6 && h.ICMP.Type == 2: // packet too big
		out.ICMPMTU = new(binary.BigEndian.Uint32(h.ICMP.Rest[:]))
	case !v6 && h.ICMP.Type == 3 && h.ICMP.Code == 4: // fragmentation needed, RFC 1191
		out.ICMPMTU = new(uint32(binary.BigEndian.Uint16(h.ICMP.Rest[2:])))
	case !v6 && h.ICMP.Type == 5: // redirect
		out.ICMPGateway = netip.AddrFrom4(h.ICMP.Rest)
	}
	out.ICMPTarget = h.ICMP.Target
}

func tcpFlags(h *packet.Header) []string {
	names := [...]string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
	n := bits.OnesCount8(uint8(h.TCP.Flags))
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for i, name := range names {
		if h.TCP.Flags>>i&1 != 0 {
			out = append(out, name)
		}
	}
	return out
}
