package integration

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

// A router that sends packets back out of the interface that they came by redirects
// their sender. NAT drops redirects of connections that were there before it, whatever
// chain it got: at the hook of its output it has none.
func TestNATsOwnDropIsNotBlamedOnConntrack(t *testing.T) {
	l := newLab(t)
	nft(`table ip t { chain f { type filter hook forward priority 0; ct state new counter accept; }; }`)[0].load(t, l.host)
	l.ready(t)
	configure(t, l.host, "neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent\nroute add 203.0.113.0/24 via 192.0.2.9\n")
	for _, name := range []string{"all", "eth0"} {
		writeSysctl(t, l.host, "net/ipv4/conf/"+name+"/send_redirects", "1")
	}
	within(t, l.client, packet{to: "203.0.113.5", port: 8094, from: 4000}.transmit)
	nft(`table ip n { chain p { type nat hook prerouting priority -100; tcp dport 1 redirect; }; }`)[0].load(t, l.host)
	trace := start(t, []*lab{l}, "--hook", "output", "--proto", "icmp")
	eventually(t, "a redirect is dropped", func() bool {
		within(t, l.client, packet{to: "203.0.113.5", port: 8094, from: 4000}.transmit)
		return len(trace.told(t)) > 0
	})
	for _, d := range trace.stop(t) {
		switch {
		case !strings.HasPrefix(d.Function, "nf_nat_"):
			t.Errorf("not by NAT:\n%s", show([]drop.Drop{d}))
		case len(d.Why) == 0 || d.Why[0].Code != drop.WhyNATRedirect:
			t.Errorf("no why:\n%s", show([]drop.Drop{d}))
		}
	}
}
