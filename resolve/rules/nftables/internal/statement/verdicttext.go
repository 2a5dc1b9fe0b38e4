package statement

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// rejectText is the reject with its answer. A code means one thing to ICMP,
// another to ICMPv6, a third to icmpx, which is either.
func rejectText(network uint8, typ uint32, code uint8) string {
	switch typ {
	case unix.NFT_REJECT_TCP_RST:
		return "reject with tcp reset"
	case unix.NFT_REJECT_ICMPX_UNREACH:
		return "reject with icmpx " + pick(code, "no-route", "port-unreachable", "host-unreachable", "admin-prohibited")
	}
	if network == unix.NFPROTO_IPV6 {
		return "reject with icmpv6 " + pick(code, "no-route", "admin-prohibited", "", "addr-unreachable", "port-unreachable", "policy-fail", "reject-route")
	}
	if network == unix.NFPROTO_IPV4 {
		return "reject with icmp " + pick(code, "net-unreachable", "host-unreachable", "prot-unreachable", "port-unreachable",
			"", "", "", "", "", "net-prohibited", "host-prohibited", "", "", "admin-prohibited")
	}
	return "reject"
}

func pick(code uint8, names ...string) string {
	if int(code) < len(names) && names[code] != "" {
		return names[code]
	}
	return strconv.Itoa(int(code))
}

// natText is the translation. What a map gives is told by the map's name.
func natText(s *ruleset.NAT, from *value) string {
	text := map[ruleset.NATKind]string{
		ruleset.SNAT: "snat to ", ruleset.DNAT: "dnat to ", ruleset.Masquerade: "masquerade", ruleset.Redirect: "redirect",
	}[s.Kind]
	target := ""
	if s.From.IsValid() {
		target = s.From.String()
		if s.To != s.From {
			target += "-" + s.To.String()
		}
	} else if !s.Known {
		target = "…"
		if from != nil && from.text != "" {
			target = from.text
		}
	}
	if s.FromPort != 0 {
		if s.Kind == ruleset.Masquerade || s.Kind == ruleset.Redirect {
			target += " to "
		} else if s.From.Is6() {
			target = "[" + target + "]"
		}
		target += ":" + strconv.Itoa(int(s.FromPort))
		if s.ToPort != s.FromPort {
			target += "-" + strconv.Itoa(int(s.ToPort))
		}
	}
	return text + target
}

// assignText is what is assigned.
func (c context) assignText(s *ruleset.Assign, from *value) string {
	switch {
	case from != nil && from.text != "":
		return " " + from.text
	case !s.Known:
		return " …"
	case s.From != 0:
		text := " " + s.From.String()
		if s.Value != nil {
			text += " & " + c.valueText(s.Field, s.Value)
		}
		return text
	case s.Mask != nil:
		return " " + s.Field.String() + " & " + c.valueText(s.Field, s.Mask) + " ^ " + c.valueText(s.Field, s.Value)
	}
	return " " + c.valueText(s.Field, s.Value)
}
