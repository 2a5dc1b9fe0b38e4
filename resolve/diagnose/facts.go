package diagnose

import (
	"net/netip"
	"strconv"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/tracer/packet"
)

// facts is a packet as people speak of it.
type facts struct {
	packet.Packet
	in, out string // "" for none, or not known
}

func readFacts(p *replay.Packet) facts {
	f := facts{in: p.In.Name, out: p.Out.Name}
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &f.Packet)
	return f
}

// ip reports whether source, destination and protocol are known.
func (f *facts) ip() bool {
	return f.HasProtocol && f.Source.IsValid() && f.Destination.IsValid() && f.EtherType != packet.EtherARP
}

func (f *facts) family() string {
	if f.Destination.Is4() {
		return "ip"
	}
	return "ip6"
}

// service is "tcp 80", "icmp type 8" or "gre": what a rule for it speaks of.
func (f *facts) service() string {
	switch {
	case f.HasPorts:
		return f.Protocol.String() + " " + strconv.Itoa(int(f.DestinationPort))
	case f.HasICMP:
		return f.Protocol.String() + " type " + strconv.Itoa(int(f.ICMP.Type))
	}
	return f.Protocol.String()
}

// scan reports whether the TCP flags are such as no program sets: no flags, FIN,
// PSH and URG alone (nmap's Xmas), SYN with FIN or RST.
func (f *facts) scan() (kind string, ok bool) {
	if !f.HasTCP {
		return "", false
	}
	flags := f.TCP.Flags &^ (packet.ECE | packet.CWR)
	switch {
	case flags == 0:
		return "no flags at all (a null scan)", true
	case flags == packet.FIN|packet.PSH|packet.URG:
		return "FIN, PSH and URG (an Xmas scan)", true
	case flags&(packet.SYN|packet.FIN) == packet.SYN|packet.FIN:
		return "SYN and FIN at once", true
	case flags&(packet.SYN|packet.RST) == packet.SYN|packet.RST:
		return "SYN and RST at once", true
	}
	return "", false
}

// withDestination is a copy of the packet to another address and, unless 0,
// port. The checksums are not made anew: no rule reads them.
func withDestination(p *replay.Packet, to netip.Addr, port uint16) (replay.Packet, bool) {
	out := *p
	var f packet.Packet
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &f)
	if !f.Destination.IsValid() || f.Destination.Is4() != to.Is4() {
		return out, false
	}
	out.Bytes = append([]byte(nil), p.Bytes...)
	header := 40
	if to.Is4() {
		header = int(p.Bytes[0]&0xf) * 4
		a := to.As4()
		copy(out.Bytes[16:20], a[:])
	} else {
		a := to.As16()
		copy(out.Bytes[24:40], a[:])
	}
	if port == 0 {
		return out, true
	}
	if !f.HasPorts || !to.Is4() && p.Bytes[6] != byte(f.Protocol) || len(out.Bytes) < header+4 {
		return out, false
	}
	out.Bytes[header+2], out.Bytes[header+3] = byte(port>>8), byte(port)
	return out, true
}
