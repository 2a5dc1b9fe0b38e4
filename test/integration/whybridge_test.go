package integration

import (
	"os"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// bridged puts both links of the host in a bridge: client and server
// are neighbours.
func bridged(t *testing.T, l *lab) {
	t.Helper()
	configure(t, l.host, `
addr flush dev eth0
addr flush dev eth1
link add br0 type bridge
link set eth0 master br0
link set eth1 master br0
link set br0 up
addr add 192.0.2.1/24 dev br0
`)
	configure(t, l.server, "addr add 192.0.2.3/24 dev eth0\n")
	writeSysctl(t, l.host, "net/bridge/bridge-nf-call-iptables", "1")
}

func TestWhyBridge(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		t.Fatalf("this kernel has no br_netfilter: %v", err)
	}
	proveAll(t, []proof{{
		name: "bridge", packet: packet{port: 6301, to: "192.0.2.3"}, at: serverIP,
		setup: "iptables-nft -P FORWARD DROP", prepare: bridged,
		code: "bridge-netfilter", message: "it only crosses the bridge br0",
		fix: "iptables-nft -A FORWARD -i br0 -o br0 -s 192.0.2.2 -d 192.0.2.3 -p udp --dport 6301 -m physdev --physdev-is-bridged -j ACCEPT",
	}})
}
