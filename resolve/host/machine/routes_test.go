package machine

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const twoWays = `
ip link set lo up
ip link add eth0 type veth peer name far0
ip link add eth1 type veth peer name far1
ip link add br0 type bridge
ip link set far1 master br0 group 7
for i in eth0 far0 eth1 far1 br0; do ip link set $i up; done
ip addr add 192.0.2.1/24 dev eth0
ip addr add 198.51.100.1/24 dev eth1
ip -6 addr add 2001:db8::1/64 dev eth0 nodad
ip route add 203.0.113.0/24 via 198.51.100.2
ip route add blackhole 100.64.0.0/10
ip route add blackhole 2001:db8:bad::/48
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
`

func openRoutes(t *testing.T, script string) *Routes {
	t.Helper()
	n := newNamespace(t, "")
	err := n.Do(func() error {
		out, err := exec.Command("sh", "-ec", script).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := OpenRoutes(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func from(in, src, dst string) *replay.Packet {
	a, b := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	p := &replay.Packet{EtherType: unix.ETH_P_IP, UID: -1, In: replay.Interface{Known: true, Name: in}}
	head := make([]byte, 12)
	head[0], head[3] = 0x45, 20
	if a.Is6() {
		p.EtherType = unix.ETH_P_IPV6
		head = make([]byte, 8)
		head[0], head[6] = 0x60, 59
	}
	p.Bytes = append(append(head, a.AsSlice()...), b.AsSlice()...)
	p.Length = len(p.Bytes)
	return p
}

func TestRoute(t *testing.T) {
	h := openRoutes(t, twoWays)
	tests := []struct {
		name         string
		in, src, dst string
		kind         uint8
		out          string
		refused      string
	}{
		{"to this host", "eth0", "192.0.2.9", "192.0.2.1", unix.RTN_LOCAL, "", ""},
		{"broadcast", "eth0", "192.0.2.9", "192.0.2.255", unix.RTN_BROADCAST, "", ""},
		{"through it", "eth0", "192.0.2.9", "203.0.113.5", unix.RTN_UNICAST, "eth1", ""},
		{"of this host", "", "198.51.100.1", "203.0.113.5", unix.RTN_UNICAST, "eth1", ""},
		{"of this host to itself", "", "192.0.2.1", "192.0.2.1", unix.RTN_LOCAL, "lo", ""},
		{"no route", "eth0", "192.0.2.9", "8.8.8.8", 0, "", "no route to its destination"},
		{"loopback source", "eth0", "127.0.0.1", "192.0.2.1", 0, "", Loopback},
		{"loopback destination", "eth0", "192.0.2.9", "127.0.0.1", 0, "", Loopback},
		{"multicast source", "eth0", "224.0.0.1", "192.0.2.1", 0, "", MartianSource},
		{"zero source", "eth0", "0.0.0.0", "192.0.2.1", 0, "", MartianSource},
		{"source of 0.0.0.0/8", "eth0", "0.1.2.3", "192.0.2.1", unix.RTN_LOCAL, "", ""},
		{"broadcast source", "eth1", "198.51.100.255", "198.51.100.1", 0, "", MartianSource},
		{"zero destination", "eth0", "192.0.2.9", "0.0.0.0", 0, "", MartianDestination},
		{"own source", "eth0", "198.51.100.1", "192.0.2.1", 0, "", OwnSource},
		{"blackhole", "eth0", "192.0.2.9", "100.64.0.5", 0, "", RouteRefuses},
		{"blackhole, of this host", "", "192.0.2.1", "100.64.0.5", 0, "", RouteRefuses},
		{"reverse path", "eth1", "192.0.2.9", "192.0.2.1", 0, "", ReversePath},
		{"no reverse path", "eth1", "8.8.8.8", "192.0.2.1", 0, "", ReversePath},
		{"multicast that nobody joined", "eth0", "192.0.2.9", "239.1.1.1", 0, "", NotJoined},
		{"all hosts", "eth0", "192.0.2.9", "224.0.0.1", unix.RTN_MULTICAST, "", ""},
		{"IPv6 blackhole", "eth0", "2001:db8::9", "2001:db8:bad::5", 0, "", RouteRefuses},
		{"IPv6 all nodes", "eth0", "fe80::9", "ff02::1", unix.RTN_MULTICAST, "", ""},
		{"IPv6 group of routers", "eth0", "fe80::9", "ff02::2", unix.RTN_MULTICAST, "", ""},
		{"IPv6 group that nobody joined", "eth0", "fe80::9", "ff02::1234", 0, "", NotJoined},
		{"IPv6 multicast source", "eth0", "ff02::1", "2001:db8::1", 0, "", MartianSource},
		{"IPv6 loopback source", "eth0", "::1", "2001:db8::1", 0, "", Loopback},
		{"IPv6 to this host", "eth0", "2001:db8::9", "2001:db8::1", unix.RTN_LOCAL, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := h.Route(from(tt.in, tt.src, tt.dst))
			if got.Type != tt.kind || got.Out.Name != tt.out && tt.out != "" || !strings.HasPrefix(got.Refused, tt.refused) || (got.Refused == "") != (tt.refused == "") {
				t.Errorf("route is %+v", got)
			}
		})
	}
}

func TestForwardingThatIsOffIsTold(t *testing.T) {
	h := openRoutes(t, strings.Replace(twoWays, "echo 1 >", "echo 0 >", 1))
	if got := h.Route(from("eth0", "192.0.2.9", "203.0.113.5")); got.Refused != ForwardingOff {
		t.Errorf("route is %+v", got)
	}
}

func TestFIB(t *testing.T) {
	h := openRoutes(t, twoWays)
	index := func(name string) byte { return byte(h.links[name].Attrs().Index) }
	tests := []struct {
		name         string
		in, src, dst string
		key          uint8
		result       ruleset.FIBResult
		want         int // last byte, -1 where not known
	}{
		{"local", "eth0", "192.0.2.9", "192.0.2.1", ruleset.FIBDest, ruleset.FIBType, unix.RTN_LOCAL},
		{"of another interface", "eth0", "192.0.2.9", "198.51.100.1", ruleset.FIBDest | ruleset.FIBIn, ruleset.FIBType, unix.RTN_UNICAST},
		{"of this interface", "eth0", "192.0.2.9", "192.0.2.1", ruleset.FIBDest | ruleset.FIBIn, ruleset.FIBType, unix.RTN_LOCAL},
		{"neighbour", "eth0", "192.0.2.9", "192.0.2.8", ruleset.FIBDest, ruleset.FIBType, unix.RTN_UNICAST},
		{"broadcast", "eth0", "192.0.2.9", "192.0.2.255", ruleset.FIBDest, ruleset.FIBType, unix.RTN_BROADCAST},
		{"all of the wire", "eth0", "192.0.2.9", "255.255.255.255", ruleset.FIBDest, ruleset.FIBType, unix.RTN_BROADCAST},
		{"multicast", "eth0", "192.0.2.9", "224.0.0.1", ruleset.FIBDest, ruleset.FIBType, unix.RTN_MULTICAST},
		{"IPv6 local", "eth0", "2001:db8::9", "2001:db8::1", ruleset.FIBDest, ruleset.FIBType, unix.RTN_LOCAL},
		{"IPv6 neighbour", "eth0", "2001:db8::9", "2001:db8::8", ruleset.FIBDest, ruleset.FIBType, unix.RTN_UNICAST},
		{"way back", "eth0", "192.0.2.9", "192.0.2.1", ruleset.FIBSource | ruleset.FIBIn, ruleset.FIBOutIndex, int(index("eth0"))},
		{"way back by another", "eth0", "203.0.113.9", "192.0.2.1", ruleset.FIBSource | ruleset.FIBIn, ruleset.FIBPresent, 0},
		{"way back exists", "eth1", "203.0.113.9", "192.0.2.1", ruleset.FIBSource | ruleset.FIBIn, ruleset.FIBPresent, 1},
		{"no way back", "eth0", "8.8.8.8", "192.0.2.1", ruleset.FIBSource | ruleset.FIBIn, ruleset.FIBPresent, 0},
		{"IPv6 way back", "eth0", "2001:db8::9", "2001:db8::1", ruleset.FIBSource | ruleset.FIBIn | ruleset.FIBMark, ruleset.FIBPresent, 1},
		{"interface not there", "eth9", "192.0.2.9", "192.0.2.1", ruleset.FIBDest | ruleset.FIBIn, ruleset.FIBType, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, presence := h.FIB(from(tt.in, tt.src, tt.dst), tt.key, tt.result)
			got := -1
			if presence == replay.Present {
				got = int(b[len(b)-1])
			}
			if got != tt.want {
				t.Errorf("answer is %d, want %d", got, tt.want)
			}
		})
	}
}

func TestLink(t *testing.T) {
	h := openRoutes(t, twoWays)
	ask := func(name string, f ruleset.Field) string {
		b, presence := h.Link(replay.Interface{Known: true, Name: name}, f)
		return fmt.Sprintf("%d %s", presence, strings.TrimRight(fmt.Sprintf("%q", b), "\x00"))
	}
	for _, tt := range []struct {
		name  string
		field ruleset.Field
		want  string
	}{
		{"far1", ruleset.InBridge, `1 "br0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"`},
		{"eth0", ruleset.InBridge, `0 ""`},
		{"far1", ruleset.InGroup, `1 "\x00\x00\x00\a"`},
		{"eth0", ruleset.InType, `1 "\x00\x01"`},
		{"lo", ruleset.InType, `1 "\x03\x04"`},
		{"eth9", ruleset.InType, `2 ""`},
	} {
		if got := ask(tt.name, tt.field); got != tt.want {
			t.Errorf("%s of %s is %s, want %s", tt.field, tt.name, got, tt.want)
		}
	}
}
