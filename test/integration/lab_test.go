package integration

import (
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
	"github.com/vishvananda/netlink"
)

// Addresses of a lab. The host has .1 on eth0, the client .2; behind the host
// is a server, on eth1.
const (
	hostIP, hostIP6     = "192.0.2.1", "2001:db8::1"
	clientIP, clientIP6 = "192.0.2.2", "2001:db8::2"
	serverIP, serverIP6 = "198.51.100.2", "2001:db8:1::2"
)

// A lab is a host under test with a client before and a server behind it, each
// in a namespace of its own.
type lab struct {
	host, client, server string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := nstest.NewLab(t)
	return &lab{host: l.Host, client: l.Client, server: l.Server}
}

func configure(t *testing.T, ns, batch string) {
	t.Helper()
	command(t, batch, "ip", "-n", ns, "-batch", "-")
}

// ready waits for the links: until then what is sent is lost in silence.
func (l *lab) ready(t *testing.T) {
	t.Helper()
	up := map[string][]string{l.host: {"eth0", "eth1"}, l.client: {"eth0"}, l.server: {"eth0"}}
	for ns, names := range up {
		for _, name := range names {
			eventually(t, ns+" "+name+" is up", func() (ok bool) {
				within(t, ns, func() error {
					link, err := netlink.LinkByName(name)
					ok = err == nil && link.Attrs().OperState == netlink.OperUp
					return err
				})
				return ok
			})
		}
	}
}

// within calls f in a network namespace, on a thread that ends with it.
func within(t *testing.T, ns string, f func() error) {
	t.Helper()
	if err := nstest.Within(ns, f); err != nil {
		t.Fatalf("in %s: %v", ns, err)
	}
}
