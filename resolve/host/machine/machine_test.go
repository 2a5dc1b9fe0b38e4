package machine

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/test/nstest"
)

// newNamespace makes one with links and addresses as ip -batch reads them.
func newNamespace(t *testing.T, batch string) *netns.Handle {
	t.Helper()
	n := nstest.New(t)
	n.Run(t, batch, "ip", "-batch", "-")
	h, err := netns.Open(netns.Namespace{Inode: n.Inode(t), Path: n.Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

const links = `
link set lo up
link add br0 type bridge
link add eth0 type veth peer name eth1
link set eth1 up
link set br0 up
link set eth0 up
link set eth0 group 7
addr add 192.0.2.1/24 dev eth0
addr add 2001:db8::1/64 dev eth0 nodad
route add unreachable 203.0.113.0/24
route add blackhole 203.0.112.0/24
route add prohibit 203.0.111.0/24
route add 198.18.0.0/24 via 192.0.2.9 mtu 1400
route add blackhole 2001:db8:2::/48
route add prohibit 2001:db8:3::/48
`

func TestAnswersAreTheNamespaces(t *testing.T) {
	m := New(newNamespace(t, links))
	// The kernel takes up IPv6 addresses once it has seen that the link is up.
	for range 200 {
		if local, ok := m.Local(netip.MustParseAddr("2001:db8::1")); local || !ok {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, a := range []struct {
		address string
		local   bool
		device  string
		refused string
		gateway string
	}{
		{"192.0.2.1", true, "lo", "", ""}, {"192.0.2.7", false, "eth0", "", ""}, {"127.0.0.1", true, "lo", "", ""},
		{"203.0.113.1", false, "", "unreachable", ""}, {"203.0.112.1", false, "", "blackhole", ""},
		{"203.0.111.1", false, "", "prohibit", ""}, {"198.51.100.1", false, "", "", ""},
		{"198.18.0.1", false, "eth0", "", "192.0.2.9"},
		{"2001:db8::1", true, "lo", "", ""}, {"2001:db8::7", false, "eth0", "", ""}, {"2001:db8:1::1", false, "", "", ""},
		{"2001:db8:2::1", false, "", "blackhole", ""}, {"2001:db8:3::1", false, "", "prohibit", ""},
	} {
		to := netip.MustParseAddr(a.address)
		if local, ok := m.Local(to); local != a.local || !ok {
			t.Errorf("%s local: %v, %v", a.address, local, ok)
		}
		r, ok := m.RouteTo(to)
		if a.local {
			continue // by which device the kernel says so differs
		}
		if r.Device != a.device || r.Refused != a.refused || !ok || a.gateway != "" && (r.Gateway.String() != a.gateway || r.MTU != 1400) {
			t.Errorf("%s by %+v, %v", a.address, r, ok)
		}
	}
	for name, want := range map[string]bool{"br0": true, "eth0": false} {
		if i, ok := m.Interface(name); i.Bridge != want || !i.Up || i.MTU != 1500 || !ok {
			t.Errorf("%s: %+v, %v", name, i, ok)
		}
	}
	if _, ok := m.Interface("none0"); ok {
		t.Error("an interface that is not there is known")
	}
	if v, ok := m.Sysctl("net/ipv4/ip_forward"); v != "0" || !ok {
		t.Errorf("a new namespace forwards: %q, %v", v, ok)
	}
	for _, path := range []string{"net/ipv4/conf/none0/rp_filter", "net/../kernel/hostname", "", "net//ipv4"} {
		if v, ok := m.Sysctl(path); ok {
			t.Errorf("%q is %q", path, v)
		}
	}
	if !m.Program("ip") || m.Program("no-such-program") {
		t.Error("programs")
	}
}

func TestListenersWithTheirProcess(t *testing.T) {
	h := newNamespace(t, "link set lo up\n")
	m := New(h)
	var fds []int
	open := func(domain, kind int, a unix.Sockaddr) {
		err := h.Do(func() error {
			fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
			if err := unix.Bind(fd, a); err != nil {
				return err
			}
			if kind == unix.SOCK_STREAM {
				return unix.Listen(fd, 1)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	open(unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}})
	open(unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{Port: 81})
	open(unix.AF_INET6, unix.SOCK_DGRAM, &unix.SockaddrInet6{Port: 53, Addr: netip.MustParseAddr("::1").As16()})
	for _, test := range []struct {
		protocol string
		port     uint16
		address  string // "" for none
	}{
		{"tcp", 80, "127.0.0.1"}, {"tcp", 81, "::"}, {"udp", 53, "::1"}, {"udp", 80, ""}, {"tcp", 53, ""},
	} {
		list, ok := m.Listeners(test.protocol, test.port)
		if !ok {
			t.Errorf("%s %d is not known", test.protocol, test.port)
			continue
		}
		var got diagnose.Listener
		if len(list) > 0 {
			got = list[0]
		}
		switch {
		case test.address == "" && len(list) == 0:
		case len(list) != 1 || got.Address.String() != test.address:
			t.Errorf("%s %d: %+v, want %s", test.protocol, test.port, list, test.address)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fds[0], &st); err != nil {
		t.Fatal(err)
	}
	// Not within the time that a diagnosis has: the machine may be busy.
	inode := fmt.Sprint(st.Ino)
	if by := anyHolders([]string{"1", inode}, time.Minute)[inode]; by.pid != os.Getpid() || by.fd != fds[0] || by.command == "" {
		t.Errorf("the socket is held by %+v, not by this process", by)
	}
	if _, ok := m.Listeners("sctp", 80); ok {
		t.Error("sctp is known")
	}
}

func TestEnvironmentOfReplay(t *testing.T) {
	m := New(newNamespace(t, links))
	p := replay.Packet{EtherType: 0x0800, Bytes: make([]byte, 28)}
	p.Bytes[0], p.Bytes[9] = 0x45, 17
	copy(p.Bytes[12:], []byte{192, 0, 2, 7, 192, 0, 2, 1})
	for _, test := range []struct {
		key  uint8
		want byte
	}{{ruleset.FIBDest, 2}, {ruleset.FIBSource, 1}} { // RTN_LOCAL, RTN_UNICAST
		got, presence := m.FIB(&p, test.key, ruleset.FIBType)
		if presence != replay.Present || len(got) != 4 || got[3] != test.want {
			t.Errorf("fib %d: %x, %v", test.key, got, presence)
		}
	}
	// No route leads to any of these, and none needs to.
	for to, want := range map[[4]byte]byte{{255, 255, 255, 255}: 3, {224, 0, 0, 1}: 5, {203, 0, 113, 1}: 1, {192, 0, 2, 255}: 3} {
		copy(p.Bytes[16:], to[:])
		got, presence := m.FIB(&p, ruleset.FIBDest, ruleset.FIBType)
		if presence != replay.Present || len(got) != 4 || got[3] != want {
			t.Errorf("type of %v: %x, %v, want %d", to, got, presence, want)
		}
	}
	if _, presence := m.FIB(&p, ruleset.FIBDest|ruleset.FIBIn, ruleset.FIBType); presence != replay.NotKnown {
		t.Error("a lookup that depends on the interface is known")
	}
	group, presence := m.Link(replay.Interface{Known: true, Name: "eth0"}, ruleset.InGroup)
	if presence != replay.Present || group[3] != 7 {
		t.Errorf("group %x, %v", group, presence)
	}
}

func FuzzReadSockets(f *testing.F) {
	f.Add("  sl  local_address\n   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 12345 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := readSockets(strings.NewReader(text), nil, 80, stateListen)
		if err != nil {
			return
		}
		for _, s := range found {
			if !s.address.IsValid() || s.waiting < 0 {
				t.Errorf("a socket without address: %+v", s)
			}
		}
	})
}
