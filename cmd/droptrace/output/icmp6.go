package output

import (
	"strconv"

	"github.com/droptrace/droptrace/resolve/drop"
)

// The ICMPv6 errors: each is told by its code or by what it quotes.
const (
	icmp6Unreachable = 1
	icmp6TooBig      = 2
	icmp6Exceeded    = 3
	icmp6Parameter   = 4
)

// appendICMP6 is appendICMP for IPv6 (RFC 4443, 4861, 3810).
func appendICMP6(dst []byte, p *drop.Packet) []byte {
	if p.ICMPType == nil {
		return append(dst, "[|icmp6]"...)
	}
	t, code := *p.ICMPType, codeOf(p)
	name := icmp6Name(t)
	switch t {
	case icmp6Unreachable:
		return appendUnreachable6(append(dst, "destination unreachable, "...), p, code)
	case icmp6Exceeded:
		switch {
		case code == 1:
			name = "time exceeded in-transit (reassembly)"
		case code > 1:
			dst = append(append(dst, name...), ", unknown code ("...)
			return append(strconv.AppendUint(dst, uint64(code), 10), ')')
		case p.Inner != nil:
			dst = append(dst, "time exceeded in-transit for "...)
			return appendAddr(dst, p.Inner.Destination)
		}
	case icmp6Parameter:
		switch code {
		case 0:
			name += ", erroneous"
		case 1:
			name += ", next header"
		case 2:
			name += ", option"
		}
	case icmp6TooBig:
		if p.ICMPMTU != nil {
			return strconv.AppendUint(append(append(dst, name...), ", mtu "...), uint64(*p.ICMPMTU), 10)
		}
	case 135, 136: // neighbor solicitation and advertisement
		if p.ICMPTarget.IsValid() {
			about := ", who has "
			if t == 136 {
				about = ", tgt is "
			}
			return appendAddr(append(append(dst, name...), about...), p.ICMPTarget)
		}
	}
	if name == "" {
		return strconv.AppendUint(append(dst, "type-#"...), uint64(t), 10)
	}
	return appendEcho(append(dst, name...), p)
}

func icmp6Name(t uint8) string {
	switch t {
	case icmp6TooBig:
		return "packet too big"
	case icmp6Exceeded:
		return "time exceeded in-transit"
	case icmp6Parameter:
		return "parameter problem"
	case 128:
		return "echo request"
	case 129:
		return "echo reply"
	case 130:
		return "multicast listener query"
	case 131:
		return "multicast listener report"
	case 132:
		return "multicast listener done"
	case 133:
		return "router solicitation"
	case 134:
		return "router advertisement"
	case 135:
		return "neighbor solicitation"
	case 136:
		return "neighbor advertisement"
	case 137:
		return "redirect"
	case 143:
		return "multicast listener report v2"
	}
	return ""
}

// appendUnreachable6 names the target by the quoted header.
func appendUnreachable6(dst []byte, p *drop.Packet, code uint8) []byte {
	switch code {
	case 0:
		dst = append(dst, "unreachable route "...)
	case 1:
		dst = append(dst, "unreachable prohibited "...)
	case 2:
		dst = append(dst, "beyond scope "...)
	case 3:
		dst = append(dst, "unreachable address "...)
	case 4:
		dst = append(dst, "unreachable port, "...)
		if p.Inner != nil {
			return appendPort(dst, p.Inner)
		}
	default:
		dst = append(dst, "unknown unreach code ("...)
		return append(strconv.AppendUint(dst, uint64(code), 10), ')')
	}
	if p.Inner == nil {
		return append(dst, '?')
	}
	return appendAddr(dst, p.Inner.Destination)
}
