package iptables

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoESP     = 50
	protoAH      = 51
	protoICMPv6  = 58
	protoSCTP    = 132
	protoMH      = 135
	protoUDPLite = 136
)

// protocolNumber reads a protocol of -p: a number, or a name of /etc/protocols as
// distributions ship it, since iptables-save prints names. 0 is all.
func protocolNumber(s string) (int, error) {
	if n, err := parseNumber(s, 255); err == nil {
		return int(n), nil
	}
	switch strings.ToLower(s) {
	case "all":
		return 0, nil
	case "icmp":
		return protoICMP, nil
	case "igmp":
		return 2, nil
	case "ggp":
		return 3, nil
	case "ipencap", "ip-encap":
		return 4, nil
	case "st":
		return 5, nil
	case "tcp":
		return protoTCP, nil
	case "egp":
		return 8, nil
	case "igp":
		return 9, nil
	case "pup":
		return 12, nil
	case "udp":
		return protoUDP, nil
	case "hmp":
		return 20, nil
	case "xns-idp":
		return 22, nil
	case "rdp":
		return 27, nil
	case "iso-tp4":
		return 29, nil
	case "dccp":
		return protoDCCP, nil
	case "xtp":
		return 36, nil
	case "ddp":
		return 37, nil
	case "idpr-cmtp":
		return 38, nil
	case "ipv6":
		return 41, nil
	case "ipv6-route":
		return 43, nil
	case "ipv6-frag":
		return 44, nil
	case "idrp":
		return 45, nil
	case "rsvp":
		return 46, nil
	case "gre":
		return 47, nil
	case "esp", "ipv6-crypt":
		return protoESP, nil
	case "ah", "ipv6-auth":
		return protoAH, nil
	case "skip":
		return 57, nil
	case "ipv6-icmp", "icmpv6", "icmp6":
		return protoICMPv6, nil
	case "ipv6-nonxt":
		return 59, nil
	case "ipv6-opts":
		return 60, nil
	case "rspf":
		return 73, nil
	case "vmtp":
		return 81, nil
	case "eigrp":
		return 88, nil
	case "ospf", "ospfigp":
		return 89, nil
	case "ax.25":
		return 93, nil
	case "ipip":
		return 94, nil
	case "etherip":
		return 97, nil
	case "encap":
		return 98, nil
	case "pim":
		return 103, nil
	case "ipcomp":
		return 108, nil
	case "vrrp":
		return 112, nil
	case "l2tp":
		return 115, nil
	case "isis":
		return 124, nil
	case "sctp":
		return protoSCTP, nil
	case "fc":
		return 133, nil
	case "mobility-header", "ipv6-mh", "mh":
		return protoMH, nil
	case "udplite":
		return protoUDPLite, nil
	case "mpls-in-ip":
		return 137, nil
	case "manet":
		return 138, nil
	case "hip":
		return 139, nil
	case "shim6":
		return 140, nil
	case "wesp":
		return 141, nil
	case "rohc":
		return 142, nil
	case "ethernet":
		return 143, nil
	}
	return 0, fmt.Errorf("protocol %q is not known: %w", s, ErrSyntax)
}

// protocolMatch is the match that iptables loads for options after -p.
func protocolMatch(family string, protocol int) string {
	switch protocol {
	case protoTCP:
		return "tcp"
	case protoUDP, protoUDPLite:
		return "udp"
	case protoICMP:
		return "icmp"
	case protoICMPv6:
		return "icmp6"
	case protoSCTP:
		return "sctp"
	case protoDCCP:
		return "dccp"
	case protoESP:
		return "esp"
	case protoAH:
		return "ah"
	case protoMH:
		return "mh"
	}
	return ""
}

// buildProtocol makes what -p comes to.
func (b *builder) buildProtocol(o option) error {
	b.protocol = -1
	if o.name == "" {
		return nil
	}
	n, err := protocolNumber(o.arg())
	if err != nil {
		return badValue(o, err)
	}
	if n == 0 {
		if o.neg {
			return badValue(o, fmt.Errorf("no protocol is left: %w", ErrSyntax))
		}
		return nil
	}
	if !o.neg {
		b.protocol = n
	}
	if b.family == "ip6" && b.engine == ruleset.IPTablesLegacy {
		// ip6_packet_match drops what it finds no protocol in.
		b.emit(&ruleset.Header{LaterFragments: true, Short: ruleset.ShortDrops, Text: o.text()})
	}
	b.match(o, ruleset.L4Protocol, number(ruleset.L4Protocol, uint64(n), uint64(n)))
	return nil
}
