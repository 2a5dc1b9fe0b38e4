package diagnose

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/packet"
)

// Before 6.14 routing refuses without a reason.
func TestSourcesRefusedWithoutReason(t *testing.T) {
	strict := map[string]string{"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "1"}
	off := map[string]string{"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "0"}
	for _, test := range []struct {
		source, destination string
		machine             machine
		code                string
	}{
		{"198.51.100.1", "10.0.0.2", machine{local: []string{"198.51.100.1"}}, drop.WhyMartian},
		{"224.0.0.1", "10.0.0.2", machine{}, drop.WhyMartian},
		{"0.0.0.0", "10.0.0.2", machine{}, drop.WhyMartian},
		{"0.1.2.3", "10.0.0.2", machine{sysctls: off}, ""},
		{"0.0.0.0", "255.255.255.255", machine{sysctls: off}, ""}, // DHCP
		{"127.0.0.1", "10.0.0.2", machine{}, drop.WhyMartian},
		{"203.0.113.9", "127.0.0.1", machine{}, drop.WhyMartian},
		{"203.0.113.9", "10.0.0.2", machine{sysctls: strict, routes: map[string]string{"203.0.113.9": "eth1"}}, drop.WhyReversePath},
		{"203.0.113.9", "10.0.0.2", machine{sysctls: strict}, drop.WhyReversePath},
		{"203.0.113.9", "10.0.0.2", machine{sysctls: strict, routes: map[string]string{"203.0.113.9": "eth0"}}, ""},
		{"203.0.113.9", "10.0.0.2", machine{sysctls: off}, ""},
		{"203.0.113.9", "10.0.0.2", machine{}, ""},
		{"203.0.113.9", "239.1.1.1", machine{sysctls: off}, drop.WhyNoListener},
		{"198.51.100.1", "239.1.1.1", machine{local: []string{"198.51.100.1"}}, drop.WhyMartian},
	} {
		p := traffic{src: test.source, dst: test.destination, proto: packet.ProtoUDP, dport: 53, in: "eth0"}.packet()
		got := ""
		if w := Diagnose(&Case{Packet: p, Cause: "kernel", Symbol: "ip_rcv_finish_core.constprop.0", Machine: &test.machine}); len(w) > 0 {
			got = w[0].Code
		}
		if got != test.code {
			t.Errorf("%s to %s, %+v: %q, want %q", test.source, test.destination, test.machine, got, test.code)
		}
	}
}
