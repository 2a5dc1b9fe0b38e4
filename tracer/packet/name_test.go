package packet_test

import (
	"slices"
	"testing"

	"github.com/droptrace/droptrace/tracer/packet"
)

func TestProtocolNames(t *testing.T) {
	for n := range 256 {
		p := packet.Protocol(n)
		if got, ok := packet.ParseProtocol(p.String()); !ok || got != p {
			t.Errorf("ParseProtocol(%q) = %d, %t; want %d", p, got, ok, p)
		}
	}
	for name, want := range map[string]packet.Protocol{
		"TCP": packet.ProtoTCP, "icmp6": packet.ProtoICMPv6, "ipv6-icmp": packet.ProtoICMPv6, "132": packet.ProtoSCTP,
	} {
		if got, ok := packet.ParseProtocol(name); !ok || got != want {
			t.Errorf("ParseProtocol(%q) = %d, %t; want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "256", "-1", "tpc", "6 "} {
		if got, ok := packet.ParseProtocol(name); ok {
			t.Errorf("ParseProtocol(%q) = %d, want none", name, got)
		}
	}
}

func TestEtherTypeNames(t *testing.T) {
	for e, want := range map[packet.EtherType]string{
		packet.EtherIPv4: "ip", packet.EtherIPv6: "ip6", packet.EtherARP: "arp", 0x88cc: "0x88cc", 0x27: "0x0027",
	} {
		if got := e.String(); got != want {
			t.Errorf("EtherType(%d) = %q, want %q", uint16(e), got, want)
		}
	}
}

func TestTCPFlagNames(t *testing.T) {
	if got := packet.TCPFlags(0).Names(); got != nil {
		t.Errorf("no flags are named %q", got)
	}
	if got := (packet.SYN | packet.ACK | packet.CWR).Names(); !slices.Equal(got, []string{"syn", "ack", "cwr"}) {
		t.Errorf("syn, ack and cwr are named %q", got)
	}
}
