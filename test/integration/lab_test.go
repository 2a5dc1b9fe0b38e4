package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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
	id := fmt.Sprintf("dt%08x", rand.Uint32())
	l := &lab{host: id, client: id + "c", server: id + "s"}
	t.Cleanup(func() {
		for _, ns := range []string{l.host, l.client, l.server} {
			if _, err := os.Stat(filepath.Join("/run/netns", ns)); err == nil {
				command(t, "", "ip", "netns", "del", ns)
			}
		}
	})
	command(t, fmt.Sprintf(`
netns add %[1]s
netns add %[2]s
netns add %[3]s
`, l.host, l.client, l.server), "ip", "-batch", "-")
	l.withoutDAD(t)
	command(t, fmt.Sprintf(`
link add eth0 netns %[1]s type veth peer name eth0 netns %[2]s
link add eth1 netns %[1]s type veth peer name eth0 netns %[3]s
`, l.host, l.client, l.server), "ip", "-batch", "-")
	configure(t, l.host, `
link set lo up
link set eth0 up
link set eth1 up
addr add 192.0.2.1/24 dev eth0
addr add 198.51.100.1/24 dev eth1
addr add 2001:db8::1/64 dev eth0 nodad
addr add 2001:db8:1::1/64 dev eth1 nodad
`)
	configure(t, l.client, `
link set eth0 up
addr add 192.0.2.2/24 dev eth0
addr add 2001:db8::2/64 dev eth0 nodad
route add default via 192.0.2.1
route add default via 2001:db8::1
`)
	configure(t, l.server, `
link set eth0 up
addr add 198.51.100.2/24 dev eth0
addr add 2001:db8:1::2/64 dev eth0 nodad
route add default via 198.51.100.1
route add default via 2001:db8:1::1
`)
	within(t, l.host, func() error {
		for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	return l
}

// withoutDAD lets link-local addresses be used at once. For seconds a router has
// none to ask for the neighbour of a forwarded packet with, and the packet waits.
func (l *lab) withoutDAD(t *testing.T) {
	t.Helper()
	for _, ns := range []string{l.host, l.client, l.server} {
		writeSysctl(t, ns, "net/ipv6/conf/default/accept_dad", "0")
	}
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
	result := make(chan error)
	go func() { result <- onThread(ns, f) }()
	if err := <-result; err != nil {
		t.Fatalf("in %s: %v", ns, err)
	}
}

// onThread is to be the last that its goroutine does.
func onThread(ns string, f func() error) error {
	runtime.LockOSThread() // and never unlocks, so that the thread goes
	if unix.Gettid() != unix.Getpid() {
		return enterAnd(ns, f)
	}
	// The first thread cannot go, and would keep the namespace. While it waits here
	// another is taken.
	defer runtime.UnlockOSThread()
	result := make(chan error)
	go func() { result <- onThread(ns, f) }()
	return <-result
}

// enterAnd moves the thread, for good, and calls f.
func enterAnd(ns string, f func() error) error {
	file, err := os.Open(filepath.Join("/run/netns", ns))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", ns, err)
	}
	return f()
}
