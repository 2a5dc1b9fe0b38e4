package diagnose

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/tracer/packet"
)

// The kernel takes both for another host's: a frame for another address, and one
// with a tag that no interface takes.
func TestOtherHost(t *testing.T) {
	own := []byte{2, 0, 0, 0, 0, 1}
	frame := func(to byte) []byte { return append([]byte{2, 0, 0, 0, 0, to}, make([]byte, 8)...) }
	m := &machine{local: []string{"192.0.2.1"}, interfaces: map[string]Interface{"eth0": {Up: true, Carrier: true, Hardware: own}}}
	for _, test := range []struct {
		to   string
		link []byte
		says string // "" for nothing
	}{
		{"192.0.2.1", frame(1), "has a VLAN tag that no interface on eth0 takes"},
		{"192.0.2.9", frame(1), "has a VLAN tag that no interface on eth0 takes"},
		{"192.0.2.1", frame(7), "sent to hardware address 02:00:00:00:00:07, and eth0 has 02:00:00:00:00:01"},
		{"192.0.2.1", nil, "or with a VLAN tag"},
		{"192.0.2.9", frame(7), ""}, // flooded
		{"192.0.2.9", nil, ""},
	} {
		p := traffic{src: "192.0.2.2", dst: test.to, proto: packet.ProtoUDP, dport: 53, in: "eth0"}.packet()
		p.Link = test.link
		got := ""
		if w := Diagnose(&Case{Packet: p, Cause: "kernel", Reason: "OTHERHOST", Symbol: "ip_rcv_core", Machine: m}); len(w) > 0 {
			got = w[0].Message
		}
		if !strings.Contains(got, test.says) || test.says == "" && got != "" {
			t.Errorf("%s, %x: %q, want %q", test.to, test.link, got, test.says)
		}
	}
}
