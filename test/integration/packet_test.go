package integration

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A packet is sent to a port that tells it from all others of its test.
type packet struct {
	tcp   bool
	to    string // hostIP if empty
	port  uint16
	local bool // sent by the host, not the client
	size  int
	from  uint16 // the port that it is sent from, any if 0
}

// send sends it once. A TCP connection is closed before it can try again.
func (p packet) send(t *testing.T, l *lab) {
	t.Helper()
	from := l.client
	if p.local {
		from = l.host
	}
	within(t, from, p.transmit)
}

func (p packet) transmit() error {
	domain, to := address(p.to, p.port)
	kind := unix.SOCK_DGRAM
	if p.tcp {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if p.from != 0 {
		any := "0.0.0.0"
		if domain == unix.AF_INET6 {
			any = "::"
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		_, own := address(any, p.from)
		if err := unix.Bind(fd, own); err != nil {
			return err
		}
	}
	if p.tcp {
		err = unix.Connect(fd, to)
	} else {
		err = unix.Sendto(fd, make([]byte, max(p.size, 8)), 0, to)
	}
	// A packet dropped on its way out is an error, but no failure here.
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	return err
}

func address(to string, port uint16) (int, unix.Sockaddr) {
	if to == "" {
		to = hostIP
	}
	a := netip.MustParseAddr(to)
	if a.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: a.As4(), Port: int(port)}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: a.As16(), Port: int(port)}
}
