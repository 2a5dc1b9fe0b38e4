package integration

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socket opens one in the host's namespace until the test ends: network is tcp, udp,
// tcp6 or udp6, the last two for IPv6 only. It may be connected, and bound to an
// interface.
func socket(network, local, remote, device string) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		at := netip.MustParseAddrPort(local)
		domain, own := address(at.Addr().String(), at.Port())
		kind := unix.SOCK_STREAM
		if strings.HasPrefix(network, "udp") {
			kind = unix.SOCK_DGRAM
		}
		within(t, l.host, func() error {
			fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { unix.Close(fd) })
			if device != "" {
				if err := unix.BindToDevice(fd, device); err != nil {
					return err
				}
			}
			if domain == unix.AF_INET6 {
				if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
					return err
				}
			}
			if err := unix.Bind(fd, own); err != nil {
				return err
			}
			if remote != "" {
				r := netip.MustParseAddrPort(remote)
				_, to := address(r.Addr().String(), r.Port())
				return unix.Connect(fd, to)
			}
			if kind == unix.SOCK_STREAM {
				return unix.Listen(fd, 8)
			}
			return nil
		})
	}
}

// transparent listens as a proxy does that TPROXY sends to.
func transparent(port int) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		within(t, l.host, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { unix.Close(fd) })
			if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1); err != nil {
				return err
			}
			if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
				return err
			}
			return unix.Listen(fd, 8)
		})
	}
}

// connectAndWait has the client connect, and wait for a while that nothing comes of.
func connectAndWait(to string) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		within(t, l.client, func() error {
			if c, err := net.DialTimeout("tcp", to, 2500*time.Millisecond); err == nil {
				c.Close()
			}
			return nil
		})
	}
}

// connectAs has the host connect once, as a user.
func connectAs(uid int, to string) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		at := netip.MustParseAddrPort(to)
		domain, sa := address(at.Addr().String(), at.Port())
		within(t, l.host, func() error {
			// Rules look at who opened the socket; the thread ends with this.
			if err := unix.Setfsuid(uid); err != nil {
				return err
			}
			fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			_ = unix.Connect(fd, sa)
			return nil
		})
	}
}

// sendMany has the host send datagrams of 1,000 bytes at once.
func sendMany(to string, port uint16, number int) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		within(t, l.host, func() error {
			for range number {
				if err := (packet{to: to, port: port, size: 1000}).transmit(); err != nil && !errors.Is(err, unix.ENOBUFS) {
					return err
				}
			}
			return nil
		})
	}
}
