package conntrack

import (
	"net/netip"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestTuple(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::1").As16()
	other := netip.MustParseAddr("2001:db8::2").As16()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	a6, b6 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	tests := []struct {
		name string
		raw  event.CTTuple
		want *drop.Tuple
	}{
		{"udp", event.CTTuple{Src: v4(192, 0, 2, 1), SrcPort: port(53), L3Num: netfilter.IPv4, Dst: v4(192, 0, 2, 2), DstPort: port(40000), Proto: protoUDP},
			&drop.Tuple{Source: a, SourcePort: 53, Destination: b, DestinationPort: 40000, Protocol: "udp"}},
		{"tcp over IPv6", event.CTTuple{Src: v6, SrcPort: port(1), L3Num: netfilter.IPv6, Dst: other, DstPort: port(65535), Proto: protoTCP},
			&drop.Tuple{Source: a6, SourcePort: 1, Destination: b6, DestinationPort: 65535, Protocol: "tcp"}},
		{"sctp", event.CTTuple{Src: v4(192, 0, 2, 1), SrcPort: port(9), L3Num: netfilter.IPv4, Dst: v4(192, 0, 2, 2), DstPort: port(10), Proto: protoSCTP},
			&drop.Tuple{Source: a, SourcePort: 9, Destination: b, DestinationPort: 10, Protocol: "sctp"}},
		{"echo request", event.CTTuple{Src: v4(192, 0, 2, 1), SrcPort: port(0x1234), L3Num: netfilter.IPv4, Dst: v4(192, 0, 2, 2), DstPort: [2]byte{8, 0}, Proto: protoICMP},
			&drop.Tuple{Source: a, Destination: b, Protocol: "icmp", ICMPType: new(uint8(8)), ICMPCode: new(uint8(0)), ICMPID: new(uint16(0x1234))}},
		{"echo reply over IPv6", event.CTTuple{Src: v6, SrcPort: port(7), L3Num: netfilter.IPv6, Dst: other, DstPort: [2]byte{129, 0}, Proto: protoICMPv6},
			&drop.Tuple{Source: a6, Destination: b6, Protocol: "icmpv6", ICMPType: new(uint8(129)), ICMPCode: new(uint8(0)), ICMPID: new(uint16(7))}},
		{"gre: the key is no port", event.CTTuple{Src: v4(192, 0, 2, 1), SrcPort: port(77), L3Num: netfilter.IPv4, Dst: v4(192, 0, 2, 2), Proto: protoGRE},
			&drop.Tuple{Source: a, Destination: b, Protocol: "gre"}},
		{"a protocol by number", event.CTTuple{Src: v4(192, 0, 2, 1), L3Num: netfilter.IPv4, Dst: v4(192, 0, 2, 2), Proto: 50},
			&drop.Tuple{Source: a, Destination: b, Protocol: "50"}},
		{"not filled in", event.CTTuple{}, nil},
		{"another family", event.CTTuple{L3Num: 7, Proto: protoTCP}, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tuple(&tt.raw), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestNAT(t *testing.T) {
	tests := []struct {
		name   string
		change func(*event.CTInfo)
		want   []string
	}{
		{"none", func(*event.CTInfo) {}, nil},
		{"destination port, as docker -p 8080:80", func(i *event.CTInfo) { i.Reply.SrcPort = port(8080) }, []string{"dnat"}},
		{"destination address", func(i *event.CTInfo) { i.Reply.Src = v4(172, 17, 0, 2) }, []string{"dnat"}},
		{"masquerade", func(i *event.CTInfo) { i.Reply.Dst = v4(198, 51, 100, 1) }, []string{"snat"}},
		{"masquerade of the port alone", func(i *event.CTInfo) { i.Reply.DstPort = port(1024) }, []string{"snat"}},
		{"both", func(i *event.CTInfo) { i.Reply.Src, i.Reply.Dst = v4(172, 17, 0, 2), v4(172, 17, 0, 1) }, []string{"snat", "dnat"}},
		{"by status alone", func(i *event.CTInfo) { i.Status |= netfilter.StatusDNAT }, []string{"dnat"}},
		{"ICMP turns round by type", func(i *event.CTInfo) {
			i.Original.Proto, i.Reply.Proto = protoICMP, protoICMP
			i.Original.SrcPort, i.Original.DstPort = port(99), [2]byte{8, 0}
			i.Reply.SrcPort, i.Reply.DstPort = port(99), [2]byte{0, 0}
		}, nil},
		{"GRE keys", func(i *event.CTInfo) {
			i.Original.Proto, i.Reply.Proto = protoGRE, protoGRE
		}, nil},
		{"no reply tuple yet", func(i *event.CTInfo) { i.Reply = event.CTTuple{} }, nil},
	}
	for _, tt := range tests {
		info := tcpEntry()
		tt.change(&info)
		if diff := cmp.Diff(tt.want, Of(&info, Context{}).NAT); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		bits uint32
		want []string
	}{
		{0, nil},
		{1<<1 | 1<<3, []string{"seen_reply", "confirmed"}},
		{0xffff, []string{"expected", "seen_reply", "assured", "confirmed", "snat", "dnat", "seq_adjust",
			"src_nat_done", "dst_nat_done", "dying", "fixed_timeout", "template", "nat_clash", "helper",
			"offload", "hw_offload"}},
		{1 << 16, []string{"bit16"}},
		{1 << 31, []string{"bit31"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, netfilter.StatusNames(tt.bits)); diff != "" {
			t.Errorf("Status(%#x) (-want +got):\n%s", tt.bits, diff)
		}
	}
}
