package integration

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

// one holds droptrace to one certain drop of the namespace that the kernel counted.
func one(t *testing.T, trace *tracing, l *lab, s ruleset, w want, keep func(drop.Drop) bool) {
	t.Helper()
	kernel := counted(t, l, s, 1)
	var own []drop.Drop
	for _, d := range of(trace.stop(t), l.host) {
		if keep(d) {
			own = append(own, d)
		}
	}
	compare(t, trace, own, kernel)
	if len(own) == 0 {
		t.Fatal("no record")
	}
	w.check(t, trace, 0, own[0])
	if t.Failed() {
		t.Logf("kernel: %+v\ndroptrace:\n%s", kernel, show(own))
	}
}

func TestBridge(t *testing.T) {
	l := newLab(t)
	configure(t, l.host, `
link add br0 type bridge forward_delay 0
link set br0 up
addr flush dev eth0
link set eth0 master br0
link set eth1 master br0
`)
	configure(t, l.server, "addr add 192.0.2.3/24 dev eth0\n")
	s := ruleset{"nft", `table bridge a {
	chain user {
		udp dport 1201 counter drop
	}
	chain through { type filter hook forward priority 0; policy accept;
		jump user
	}
}`}
	s.load(t, l.host)
	trace := start(t, []*lab{l}, "--netfilter")
	l.ready(t)
	packet{to: "192.0.2.3", port: 1202}.send(t, l)
	packet{to: "192.0.2.3", port: 1201}.send(t, l)
	one(t, trace, l, s, want{
		cause: "rule", verdict: "drop", family: "bridge", table: "a", chain: "user", base: "through",
		hook: "forward", in: "eth0", out: "eth1", text: "1201",
	}, func(d drop.Drop) bool { return d.Packet.Protocol == "udp" })
}

func TestARP(t *testing.T) {
	s := ruleset{"nft", `table arp a {
	chain in { type filter hook input priority 0; policy accept;
		arp operation request arp daddr ip 192.0.2.9 counter drop
	}
}`}
	l, trace := traceOne(t, s, "--netfilter")
	configure(t, l.host, "addr add 192.0.2.9/24 dev eth0\n")
	// A second request, a second later, may come when the first has been counted.
	writeSysctl(t, l.client, "net/ipv4/neigh/eth0/mcast_solicit", "1")
	packet{to: "192.0.2.9", port: 1211}.send(t, l)
	one(t, trace, l, s, want{
		cause: "rule", verdict: "drop", family: "arp", table: "a", chain: "in",
		hook: "input", in: "eth0", text: "192.0.2.9",
	}, func(d drop.Drop) bool {
		return d.Packet.Family == "arp" && d.Packet.Destination.String() == "192.0.2.9"
	})
}

// Kernels before 5.16 have no egress hook.
func TestNetdevEgress(t *testing.T) {
	if linux510() {
		return
	}
	s := ruleset{"nft", `table netdev a {
	chain out { type filter hook egress device eth1 priority 0; policy accept;
		udp dport 1221 counter drop
	}
}`}
	l, trace := traceOne(t, s, "--netfilter")
	packet{to: serverIP, port: 1222}.send(t, l)
	packet{to: serverIP, port: 1221}.send(t, l)
	one(t, trace, l, s, want{
		cause: "rule", verdict: "drop", family: "netdev", table: "a", chain: "out",
		hook: "egress", out: "eth1", text: "1221",
	}, func(d drop.Drop) bool { return d.Packet.Protocol == "udp" })
}
