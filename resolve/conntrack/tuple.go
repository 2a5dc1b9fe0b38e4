package conntrack

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
)

const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoGRE     = 47
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// tuple returns nil for a tuple that the kernel has not filled in.
func tuple(raw *event.CTTuple) *drop.Tuple { return readTuple(new(drop.Tuple), raw) }

// readTuple is tuple into memory that is there.
func readTuple(t *drop.Tuple, raw *event.CTTuple) *drop.Tuple {
	source, destination := address(raw.L3Num, raw.Src), address(raw.L3Num, raw.Dst)
	if !source.IsValid() {
		return nil
	}
	*t = drop.Tuple{Source: source, Destination: destination, Protocol: protocol(raw.Proto)}
	switch raw.Proto {
	case protoTCP, protoUDP, protoUDPLite, protoSCTP, protoDCCP:
		t.SourcePort = binary.BigEndian.Uint16(raw.SrcPort[:])
		t.DestinationPort = binary.BigEndian.Uint16(raw.DstPort[:])
	case protoICMP, protoICMPv6:
		// The kernel tracks only ICMP queries, which all have an id. Type
		// and code stand where other protocols have a destination port.
		t.ICMPID = new(binary.BigEndian.Uint16(raw.SrcPort[:]))
		t.ICMPType, t.ICMPCode = new(raw.DstPort[0]), new(raw.DstPort[1])
	}
	return t
}

// address reads a union nf_inet_addr, of which IPv4 fills the first four bytes.
func address(family uint16, raw [16]byte) netip.Addr {
	switch family {
	case netfilter.IPv4:
		return netip.AddrFrom4([4]byte(raw[:4]))
	case netfilter.IPv6:
		return netip.AddrFrom16(raw)
	}
	return netip.Addr{}
}

// protocol spells an IP protocol as conntrack does, or as its number.
func protocol(number uint8) string {
	switch number {
	case protoICMP:
		return "icmp"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoDCCP:
		return "dccp"
	case protoGRE:
		return "gre"
	case protoICMPv6:
		return "icmpv6"
	case protoSCTP:
		return "sctp"
	case protoUDPLite:
		return "udplite"
	}
	return strconv.Itoa(int(number))
}

// nat tells which sides of the connection are translated. The status bits are
// set when NAT chose to; the tuples show it too, and from the first packet on.
// The reply tuple is the original one turned round but for what is translated.
func nat(info *event.CTInfo) []string { return appendNAT(nil, info) }

func appendNAT(names []string, info *event.CTInfo) []string {
	o, r := &info.Original, &info.Reply
	snat := info.Status&netfilter.StatusSNAT != 0
	dnat := info.Status&netfilter.StatusDNAT != 0
	if o.L3Num != 0 && o.L3Num == r.L3Num {
		snat = snat || o.Src != r.Dst
		dnat = dnat || o.Dst != r.Src
		if hasPorts(o.Proto) {
			snat = snat || o.SrcPort != r.DstPort
			dnat = dnat || o.DstPort != r.SrcPort
		}
	}
	if snat {
		names = append(names, "snat")
	}
	if dnat {
		names = append(names, "dnat")
	}
	if len(names) == 0 {
		return nil
	}
	return names
}

// hasPorts is false for ICMP, whose tuples turn round by type, and for GRE, whose
// keys a helper sets for each direction.
func hasPorts(proto uint8) bool {
	switch proto {
	case protoTCP, protoUDP, protoUDPLite, protoSCTP, protoDCCP:
		return true
	}
	return false
}
