package output

import (
	"strconv"

	"github.com/droptrace/droptrace/resolve/drop"
)

// ICMP types that tcpdump tells by more than a name.
const (
	icmpUnreachable = 3
	icmpRedirect    = 5
	icmpExceeded    = 11
)

// appendICMP writes what stands between "ICMP" and the length.
func appendICMP(dst []byte, p *drop.Packet) []byte {
	if p.ICMPType == nil {
		return append(dst, "[|icmp]"...)
	}
	code := codeOf(p)
	switch *p.ICMPType {
	case icmpUnreachable:
		return appendUnreachable(dst, p, code)
	case icmpRedirect:
		return appendRedirect(dst, p, code)
	case icmpExceeded:
		switch code {
		case 0:
			return append(dst, "time exceeded in-transit"...)
		case 1:
			return append(dst, "ip reassembly time exceeded"...)
		}
		return strconv.AppendUint(append(dst, "time exceeded-#"...), uint64(code), 10)
	}
	if name := icmpName(*p.ICMPType); name != "" {
		return appendEcho(append(dst, name...), p)
	}
	return strconv.AppendUint(append(dst, "type-#"...), uint64(*p.ICMPType), 10)
}

// codeOf takes an absent code for 0, the code that most types have only.
func codeOf(p *drop.Packet) uint8 {
	if p.ICMPCode == nil {
		return 0
	}
	return *p.ICMPCode
}

// icmpName holds the types whose name is all that tcpdump prints.
func icmpName(t uint8) string {
	switch t {
	case 0:
		return "echo reply"
	case 4:
		return "source quench"
	case 8:
		return "echo request"
	case 9:
		return "router advertisement"
	case 10:
		return "router solicitation"
	case 12:
		return "parameter problem"
	case 13:
		return "time stamp query"
	case 14:
		return "time stamp reply"
	case 15:
		return "information request"
	case 16:
		return "information reply"
	case 17:
		return "address mask request"
	case 18:
		return "address mask reply"
	}
	return ""
}

// appendEcho adds what an echo carries; other types carry neither.
func appendEcho(dst []byte, p *drop.Packet) []byte {
	if p.ICMPID != nil {
		dst = append(dst, ", id "...)
		dst = strconv.AppendUint(dst, uint64(*p.ICMPID), 10)
	}
	if p.ICMPSeq != nil {
		dst = append(dst, ", seq "...)
		dst = strconv.AppendUint(dst, uint64(*p.ICMPSeq), 10)
	}
	return dst
}

// appendUnreachable names what could not be reached by the quoted header.
func appendUnreachable(dst []byte, p *drop.Packet, code uint8) []byte {
	in := p.Inner
	if in == nil {
		in = &drop.Packet{}
	}
	switch code {
	case 2:
		dst = appendAddr(dst, in.Destination)
		dst = append(dst, " protocol "...)
		dst = appendProtocolNumber(dst, in.Protocol)
		return append(dst, " unreachable"...)
	case 3:
		return append(appendPort(dst, in), " unreachable"...)
	}
	kind, why := unreachable(code)
	dst = append(dst, kind...)
	if p.Inner != nil {
		dst = append(appendAddr(dst, in.Destination), ' ')
	}
	dst = append(dst, "unreachable"...)
	if kind == "" && why == "" {
		return strconv.AppendUint(append(dst, " - #"...), uint64(code), 10)
	}
	if why != "" {
		dst = append(append(dst, " - "...), why...)
	}
	if m := p.ICMPMTU; m != nil && *m > 0 {
		dst = strconv.AppendUint(append(dst, " (mtu "...), uint64(*m), 10)
		dst = append(dst, ')')
	}
	return dst
}

// unreachable says what is unreachable and why (RFC 792, 1122, 1812), in
// tcpdump's words; two empty strings are a code that nobody defined.
func unreachable(code uint8) (kind, why string) {
	switch code {
	case 0:
		return "net ", ""
	case 1:
		return "host ", ""
	case 4:
		return "", "need to frag"
	case 5:
		return "", "source route failed"
	case 6:
		return "net ", "unknown"
	case 7:
		return "host ", "unknown"
	case 8:
		return "", "source host isolated"
	case 9:
		return "net ", "admin prohibited"
	case 10:
		return "host ", "admin prohibited"
	case 11:
		return "net ", "tos prohibited"
	case 12:
		return "host ", "tos prohibited"
	case 13:
		return "host ", "admin prohibited filter"
	case 14:
		return "host ", "host precedence violation"
	case 15:
		return "host ", "precedence cutoff"
	}
	return "", ""
}

// appendPort writes "10.0.0.2 udp port 53", or the protocol where the quoted
// packet has no ports.
func appendPort(dst []byte, in *drop.Packet) []byte {
	dst = appendAddr(dst, in.Destination)
	dst = append(dst, ' ')
	if in.DestinationPort == nil {
		dst = append(dst, "protocol "...)
		dst = appendProtocolNumber(dst, in.Protocol)
		return append(dst, " port"...)
	}
	dst = appendEscaped(dst, in.Protocol, true)
	dst = append(dst, " port "...)
	return strconv.AppendUint(dst, uint64(*in.DestinationPort), 10)
}

// appendProtocolNumber writes a number where a name was resolved, as -n does.
func appendProtocolNumber(dst []byte, name string) []byte {
	switch name {
	case "":
		name = "?"
	case "icmp":
		name = "1"
	case "tcp":
		name = "6"
	case "udp":
		name = "17"
	}
	return appendEscaped(dst, name, true)
}

// appendRedirect leaves out a gateway that is not known.
func appendRedirect(dst []byte, p *drop.Packet, code uint8) []byte {
	switch code {
	case 0, 1:
		dst = append(dst, "redirect "...)
	case 2, 3:
		dst = append(dst, "redirect-tos "...)
	default:
		dst = append(dst, "redirect-#"...)
		dst = append(strconv.AppendUint(dst, uint64(code), 10), ' ')
	}
	if p.Inner == nil {
		return append(dst, '?')
	}
	dst = appendAddr(dst, p.Inner.Destination)
	if !p.ICMPGateway.IsValid() || code > 3 {
		return dst
	}
	if code%2 == 0 {
		dst = append(dst, " to net "...)
	} else {
		dst = append(dst, " to host "...)
	}
	return appendAddr(dst, p.ICMPGateway)
}
