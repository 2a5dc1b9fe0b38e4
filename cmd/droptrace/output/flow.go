package output

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Header lengths that tcpdump's own lengths include or leave out. Options and
// extension headers are rare and unknown here.
const (
	ip4Header      = 20
	ip6Header      = 40
	fragmentHeader = 8
	icmpHeader     = 8
)

// appendFlow writes a packet as `tcpdump -n -S` prints it, so that both windows
// show one text. TCP's options, which explain few drops, are left out, and what
// tcpdump hides but explains a drop (fragments, GSO) stands at the end.
func appendFlow(dst []byte, p *drop.Packet) []byte {
	dst = appendWire(dst, p, false)
	if p.Family != "ip" && p.Family != "ip6" {
		return dst
	}
	if f := p.Fragment; f != nil && p.Family == "ip" {
		dst = append(dst, ", frag id "...)
		dst = strconv.AppendUint(dst, uint64(f.ID), 10)
		dst = append(dst, " offset "...)
		dst = strconv.AppendInt(dst, int64(f.Offset), 10)
		if f.More {
			dst = append(dst, '+')
		}
	}
	if p.Fragment != nil && p.Fragment.Offset > 0 {
		dst = append(dst, " (ports are only in the first)"...)
	}
	if p.Segments > 1 {
		dst = append(dst, " (GSO, "...)
		dst = strconv.AppendInt(dst, int64(p.Segments), 10)
		dst = append(dst, " packets)"...)
	}
	return dst
}

// appendWire writes what tcpdump writes. exact takes TCP's options too, and a
// blank of tcpdump's that is no use to people.
func appendWire(dst []byte, p *drop.Packet, exact bool) []byte {
	switch p.Family {
	case "ip":
		dst = append(dst, "IP "...)
	case "ip6":
		dst = append(dst, "IP6 "...)
	case "arp":
		return appendARP(dst, p)
	default:
		return appendEtherType(dst, p)
	}
	dst = appendEndpoints(dst, p)
	dst = append(dst, ": "...)
	return appendTransport(dst, p, exact)
}

// appendEndpoints writes "10.0.0.1.40000 > 10.0.0.2.80".
func appendEndpoints(dst []byte, p *drop.Packet) []byte {
	sport, dport := p.SourcePort, p.DestinationPort
	if p.Family == "ip6" && p.Fragment != nil {
		sport, dport = nil, nil // they follow the frag header
	}
	dst = appendEndpoint(dst, p.Source, sport)
	dst = append(dst, " > "...)
	return appendEndpoint(dst, p.Destination, dport)
}

func appendEndpoint(dst []byte, a netip.Addr, port *uint16) []byte {
	dst = appendAddr(dst, a)
	if port != nil {
		dst = append(dst, '.')
		dst = strconv.AppendUint(dst, uint64(*port), 10)
	}
	return dst
}

// appendAddr writes ? where the header was cut before the address.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, '?')
	}
	if a.Zone() != "" {
		return appendEscaped(dst, a.String(), true)
	}
	return a.AppendTo(dst)
}

// appendTransport writes what follows the addresses. Past the first fragment
// there is no transport header, whatever the bytes look like.
func appendTransport(dst []byte, p *drop.Packet, exact bool) []byte {
	if p.Fragment != nil && p.Family == "ip6" {
		dst = appendFragment6(dst, p)
	}
	if p.Fragment != nil && p.Fragment.Offset > 0 {
		if p.Family == "ip6" {
			return dst
		}
		return appendProtocol(dst, p.Protocol)
	}
	switch p.Protocol {
	case "tcp":
		return appendTCP(dst, p, exact)
	case "udp":
		return appendLength(append(dst, "UDP"...), p.PayloadLength, 0)
	case "icmp":
		return appendLength(appendICMP(append(dst, "ICMP "...), p), p.PayloadLength, icmpHeader)
	case "icmpv6":
		return appendLength(appendICMP6(append(dst, "ICMP6, "...), p), p.PayloadLength, icmpHeader)
	case "sctp":
		return append(dst, "sctp"...)
	case "":
		return append(dst, "[|ip]"...)
	}
	return appendOther(dst, p, exact)
}

// appendFragment6 writes frag (offset|length), then the ports of a first one.
func appendFragment6(dst []byte, p *drop.Packet) []byte {
	dst = append(dst, "frag ("...)
	dst = strconv.AppendInt(dst, int64(p.Fragment.Offset), 10)
	if n := p.IPLength - ip6Header - fragmentHeader; n > 0 {
		dst = append(dst, '|')
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	dst = append(dst, ')')
	if p.Fragment.Offset > 0 {
		return dst
	}
	dst = append(dst, ' ')
	if p.SourcePort != nil && p.DestinationPort != nil {
		dst = strconv.AppendUint(dst, uint64(*p.SourcePort), 10)
		dst = append(dst, " > "...)
		dst = strconv.AppendUint(dst, uint64(*p.DestinationPort), 10)
		dst = append(dst, ": "...)
	}
	return dst
}

// appendTCP follows tcpdump: seq where it says something (data, SYN, FIN, RST),
// ack with the ACK flag, and a range of sequence numbers where there is data.
func appendTCP(dst []byte, p *drop.Packet, exact bool) []byte {
	if p.TCP == nil && p.TCPFlags == nil {
		return append(dst, "[|tcp]"...)
	}
	dst = append(dst, "Flags ["...)
	n := len(dst)
	for _, f := range [...]struct{ name, short string }{
		{"fin", "F"}, {"syn", "S"}, {"rst", "R"}, {"psh", "P"},
		{"ack", "."}, {"urg", "U"}, {"ece", "E"}, {"cwr", "W"},
	} {
		if has(p.TCPFlags, f.name) {
			dst = append(dst, f.short...)
		}
	}
	if len(dst) == n {
		dst = append(dst, "none"...)
	}
	dst = append(dst, ']')
	if t := p.TCP; t != nil {
		length := 0
		if p.PayloadLength != nil {
			length = *p.PayloadLength
		}
		if length > 0 || has(p.TCPFlags, "syn") || has(p.TCPFlags, "fin") || has(p.TCPFlags, "rst") {
			dst = append(dst, ", seq "...)
			dst = strconv.AppendUint(dst, uint64(t.Seq), 10)
			if length > 0 {
				dst = append(dst, ':')
				dst = strconv.AppendUint(dst, uint64(t.Seq+uint32(length)), 10)
			}
		}
		if has(p.TCPFlags, "ack") {
			dst = append(dst, ", ack "...)
			dst = strconv.AppendUint(dst, uint64(t.Ack), 10)
		}
		dst = append(dst, ", win "...)
		dst = strconv.AppendUint(dst, uint64(t.Window), 10)
		if has(p.TCPFlags, "urg") {
			dst = append(dst, ", urg "...)
			dst = strconv.AppendUint(dst, uint64(t.Urgent), 10)
		}
		if exact && t.Options != "" {
			dst = append(dst, ", options ["...)
			dst = append(appendEscaped(dst, t.Options, true), ']')
		}
	}
	return appendLength(dst, p.PayloadLength, 0)
}

func has(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// appendOther writes a protocol of which only the name is known, and the packet
// inside it where it is a tunnel.
func appendOther(dst []byte, p *drop.Packet, exact bool) []byte {
	if p.Inner != nil {
		switch p.Protocol {
		case "ipip", "ipencap", "ipv6", "4", "41": // tcpdump names no protocol here
		case "gre":
			dst = append(dst, "GRE: "...)
		default:
			dst = append(appendProtocol(dst, p.Protocol), ": "...)
		}
		return appendWire(dst, p.Inner, exact)
	}
	switch p.Protocol {
	case "gre", "esp", "ah", "igmp", "ospf", "pim", "vrrp":
		return appendLength(append(dst, strings.ToUpper(p.Protocol)...), p.PayloadLength, 0)
	}
	if exact {
		dst = append(dst, ' ')
	}
	dst = appendProtocol(dst, p.Protocol)
	header := ip4Header
	if p.Family == "ip6" {
		header = ip6Header
	}
	if n := p.IPLength - header; n >= 0 && p.IPLength > 0 {
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	return dst
}

// appendProtocol writes ip-proto-17, as tcpdump -n does, or the name.
func appendProtocol(dst []byte, name string) []byte {
	switch name {
	case "":
		return append(dst, "[|ip]"...)
	case "icmp":
		name = "1"
	case "tcp":
		name = "6"
	case "udp":
		name = "17"
	case "gre":
		name = "47"
	case "sctp":
		name = "132"
	}
	if name[0] >= '0' && name[0] <= '9' {
		dst = append(dst, "ip-proto-"...)
	}
	return appendEscaped(dst, name, true)
}

// appendLength adds header, which tcpdump counts for some protocols, to n.
func appendLength(dst []byte, n *int, header int) []byte {
	if n == nil {
		return dst
	}
	dst = append(dst, ", length "...)
	return strconv.AppendInt(dst, int64(*n+header), 10)
}

// appendARP leaves out a hardware address that is not six bytes long.
func appendARP(dst []byte, p *drop.Packet) []byte {
	switch p.ARPOperation {
	case "request":
		dst = append(dst, "ARP, Request who-has "...)
		dst = appendAddr(dst, p.Destination)
		if p.ARPTarget != "" && p.ARPTarget != "00:00:00:00:00:00" {
			dst = append(dst, " ("...)
			dst = append(appendEscaped(dst, p.ARPTarget, true), ')')
		}
		dst = append(dst, " tell "...)
		dst = appendAddr(dst, p.Source)
	case "reply":
		dst = append(dst, "ARP, Reply "...)
		dst = appendAddr(dst, p.Source)
		if p.ARPSource == "" {
			dst = append(dst, " to "...)
			dst = appendAddr(dst, p.Destination)
			break
		}
		dst = append(dst, " is-at "...)
		dst = appendEscaped(dst, p.ARPSource, true)
	case "":
		dst = append(dst, "ARP, [|arp]"...)
	default:
		dst = append(dst, "ARP, op "...)
		dst = appendEscaped(dst, p.ARPOperation, true)
	}
	return appendLength(dst, p.PayloadLength, 0)
}

// appendEtherType writes what is no IP and no ARP. tcpdump would print MAC
// addresses, which the drop record has not.
func appendEtherType(dst []byte, p *drop.Packet) []byte {
	dst = append(dst, "ethertype "...)
	switch p.Family {
	case "":
		return append(dst, "not known"...)
	case "0x88cc":
		dst = append(dst, "LLDP ("...)
	case "0x8863", "0x8864":
		dst = append(dst, "PPPoE ("...)
	case "0x8847", "0x8848":
		dst = append(dst, "MPLS ("...)
	case "0x888e":
		dst = append(dst, "EAPOL ("...)
	default:
		dst = append(dst, "Unknown ("...)
	}
	dst = appendEscaped(dst, p.Family, true)
	return appendLength(append(dst, ')'), p.PayloadLength, 0)
}
