package diagnose

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

func TestCausesOfRoutes(t *testing.T) {
	away := map[string]Interface{"eth0": {Up: true, MTU: 1500}}
	down := map[string]Interface{"eth0": {MTU: 1500}}
	narrow := map[string]Interface{"eth1": {Up: true, Carrier: true, MTU: 30}}
	const to = "10.9.0.9"
	routes := func(r string) map[string]string { return map[string]string{to: r} }
	for _, test := range []struct {
		reason, symbol string
		machine        machine
		code           string
	}{
		{"", "ip_error", machine{routes: routes("type prohibit")}, drop.WhyRouteRefuses},
		{"", "ip_error", machine{routes: routes("")}, drop.WhyNoRoute},
		{"", "ip_error", machine{routes: routes("eth1")}, ""}, // it came meanwhile
		{"IP_INADDRERRORS", "ip_error", machine{routes: routes("eth1"),
			sysctls: map[string]string{"net/ipv4/ip_forward": "0", "net/ipv4/conf/eth0/forwarding": "0"}}, drop.WhyIPForwardOff},
		{"IP_INADDRERRORS", "ip_error", machine{routes: routes("eth0"),
			sysctls: map[string]string{"net/ipv4/ip_forward": "0", "net/ipv4/conf/eth0/forwarding": "0"}}, drop.WhyNotLocal},
		{"NEIGH_FAILED", "neigh_invalidate", machine{routes: routes("eth1")}, drop.WhyNeighbourSilent},
		{"", "neigh_invalidate", machine{routes: routes("eth1 via 10.0.0.1")}, drop.WhyNeighbourSilent},
		{"NEIGH_FAILED", "neigh_invalidate", machine{routes: routes("eth0"), interfaces: away}, drop.WhyLinkDown},
		{"QDISC_DROP", "__dev_queue_xmit", machine{interfaces: away}, drop.WhyLinkDown},
		{"QDISC_DROP", "__dev_queue_xmit", machine{interfaces: down}, drop.WhyLinkDown},
		{"QDISC_DROP", "__dev_queue_xmit", machine{}, ""},                  // its queue is full
		{"NOT_SPECIFIED", "tcp_v4_rcv", machine{interfaces: away}, ""},     // received before that
		{"PKT_TOO_BIG", "ip_forward", machine{routes: routes("eth1")}, ""}, // it would fit by now
		{"PKT_TOO_BIG", "ip_forward", machine{routes: routes("eth1"), interfaces: narrow}, drop.WhyTooBig},
		{"PKT_TOO_BIG", "ip_forward", machine{routes: routes("eth1 mtu 30")}, drop.WhyTooBig},
		{"", "ip_forward", machine{routes: routes("eth1"), interfaces: narrow}, ""}, // it may be fragmented
	} {
		p := traffic{src: "203.0.113.9", dst: to, dport: 80, in: "eth0"}.packet()
		got := ""
		if w := Diagnose(&Case{Packet: p, Cause: "kernel", Reason: test.reason, Symbol: test.symbol, Machine: &test.machine}); len(w) > 0 {
			got = w[0].Code
		}
		if got != test.code {
			t.Errorf("%s %s, %+v: %q, want %q", test.reason, test.symbol, test.machine, got, test.code)
		}
	}
}
