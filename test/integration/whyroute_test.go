package integration

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
)

// What routing, neighbours and links lose.
func TestWhyRoute(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	through := func(port uint16) packet { return packet{port: port, to: serverIP} }
	proveAll(t, []proof{
		{
			name: "blackhole", packet: packet{port: 6901, to: "203.0.113.5"}, setup: "ip route add blackhole 203.0.113.0/24",
			code: "route-refuses", message: "the route to 203.0.113.5 is of the type blackhole",
		},
		{
			name: "prohibit, ip6", packet: packet{port: 6902, to: "2001:db8:9::5"}, setup: "ip route add prohibit 2001:db8:9::/48",
			code: "route-refuses", message: "is of the type prohibit",
		},
		{
			name: "silent neighbour", packet: packet{port: 6903, to: "198.51.100.77"},
			code: "neighbour-silent", message: "198.51.100.77 does not answer ARP on eth1",
		},
		{
			name: "silent gateway, ip6", packet: packet{port: 6904, to: "2001:db8:9::5"}, setup: "ip route add 2001:db8:9::/48 via 2001:db8:1::77",
			code: "neighbour-silent", message: "the gateway 2001:db8:1::77 to 2001:db8:9::5 does not answer neighbour discovery on eth1",
		},
		{
			name: "no carrier", packet: through(6905),
			prepare: func(t *testing.T, l *lab) { configure(t, l.server, "link set eth0 down\n") },
			code:    "link-down", message: "eth1 (veth) has no carrier: its other end, in another network namespace, is down",
		},
		{
			name: "another host's hardware address", packet: packet{port: 6908, to: hostIP},
			prepare: func(t *testing.T, l *lab) {
				configure(t, l.client, "neigh replace 192.0.2.1 lladdr 02:00:00:00:00:07 dev eth0\n")
			},
			code: "other-host", message: "192.0.2.1 is here, but the frame was sent to another hardware address than that of eth0",
		},
		{
			name: "multicast that nobody joined", packet: packet{port: 6909, to: "239.1.1.1"},
			code: "no-listener", message: "no program here has joined 239.1.1.1 on eth0",
		},
		{
			name: "too big", packet: through(6906), setup: "ip link set eth1 mtu 1300", send: sendWhole(1372, through(6906)),
			code: "too-big", message: "its 1400 bytes do not fit through eth1, whose MTU is 1300",
		},
		{
			name: "too big, ip6", packet: packet{port: 6907, to: serverIP6}, setup: "ip link set eth1 mtu 1300",
			send: sendWhole(1352, packet{port: 6907, to: serverIP6}),
			code: "too-big", message: "its 1400 bytes do not fit through eth1",
		},
	})
}

// sendWhole sends a datagram that must not be fragmented, whatever was heard of the
// way's MTU.
func sendWhole(payload int, p packet) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		within(t, l.client, func() error {
			family, to := address(p.to, p.port)
			fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			level, option := unix.SOL_IP, unix.IP_MTU_DISCOVER
			if family == unix.AF_INET6 {
				level, option = unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER
			}
			if err := unix.SetsockoptInt(fd, level, option, unix.IP_PMTUDISC_PROBE); err != nil {
				return err
			}
			return unix.Sendto(fd, make([]byte, payload), 0, to)
		})
	}
}
