package packet

import (
	"fmt"
	"strconv"
	"strings"
)

// EtherType says which network header a packet has.
type EtherType uint16

// EtherTypes that are followed.
const (
	EtherIPv4    EtherType = 0x0800
	EtherARP     EtherType = 0x0806
	EtherVLAN    EtherType = 0x8100
	EtherIPv6    EtherType = 0x86dd
	EtherService EtherType = 0x88a8 // 802.1ad, the outer of two tags
)

// String returns ip, ip6 or arp, else a number such as 0x88cc.
func (e EtherType) String() string {
	switch e {
	case EtherIPv4:
		return "ip"
	case EtherIPv6:
		return "ip6"
	case EtherARP:
		return "arp"
	}
	return fmt.Sprintf("0x%04x", uint16(e))
}

func (e EtherType) isTag() bool { return e == EtherVLAN || e == EtherService }

// Protocol is a transport protocol by its IANA number.
type Protocol uint8

// Protocols that Parse reads further.
const (
	ProtoICMP    Protocol = 1
	ProtoTCP     Protocol = 6
	ProtoUDP     Protocol = 17
	ProtoDCCP    Protocol = 33
	ProtoGRE     Protocol = 47
	ProtoICMPv6  Protocol = 58
	ProtoSCTP    Protocol = 132
	ProtoUDPLite Protocol = 136
)

// IPv6 extension headers that are followed. The Authentication Header is not:
// it ends the walk as a protocol, here as in IPv4.
const (
	ipv6HopByHop    Protocol = 0
	ipv6Routing     Protocol = 43
	ipv6Fragment    Protocol = 44
	ipv6Destination Protocol = 60
)

func (p Protocol) isExtension() bool {
	return p == ipv6HopByHop || p == ipv6Routing || p == ipv6Fragment || p == ipv6Destination
}

// HasPorts reports whether the header begins with a source and a destination port.
func (p Protocol) HasPorts() bool {
	switch p {
	case ProtoTCP, ProtoUDP, ProtoDCCP, ProtoSCTP, ProtoUDPLite:
		return true
	}
	return false
}

// String returns the protocol's name, or its number.
func (p Protocol) String() string {
	switch p {
	case ProtoICMP:
		return "icmp"
	case 2:
		return "igmp"
	case 4:
		return "ipip"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoDCCP:
		return "dccp"
	case 41:
		return "ipv6"
	case ProtoGRE:
		return "gre"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case ProtoICMPv6:
		return "icmpv6"
	case 89:
		return "ospf"
	case 103:
		return "pim"
	case 108:
		return "ipcomp"
	case 112:
		return "vrrp"
	case 115:
		return "l2tp"
	case ProtoSCTP:
		return "sctp"
	case ProtoUDPLite:
		return "udplite"
	}
	return strconv.Itoa(int(p))
}

// ParseProtocol reads a name as String writes it, in any case, one of the other
// names that tcpdump, iptables and /etc/protocols use, or a number. ok is false
// for anything else.
func ParseProtocol(s string) (p Protocol, ok bool) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return Protocol(n), true
	}
	s = strings.ToLower(s)
	switch s {
	case "icmp6", "ipv6-icmp":
		return ProtoICMPv6, true
	case "ipencap":
		return 4, true
	case "ipsec-esp":
		return 50, true
	case "ipsec-ah":
		return 51, true
	}
	for n := range 256 {
		p := Protocol(n)
		if name := p.String(); name == s && name[0] > '9' {
			return p, true
		}
	}
	return 0, false
}

// Names lists the flags that are set, as nft and iptables name them.
func (f TCPFlags) Names() []string {
	var names []string
	for _, flag := range [...]struct {
		bit  TCPFlags
		name string
	}{
		{FIN, "fin"}, {SYN, "syn"}, {RST, "rst"}, {PSH, "psh"},
		{ACK, "ack"}, {URG, "urg"}, {ECE, "ece"}, {CWR, "cwr"},
	} {
		if f&flag.bit != 0 {
			names = append(names, flag.name)
		}
	}
	return names
}
