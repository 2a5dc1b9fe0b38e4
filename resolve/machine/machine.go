// Package machine answers what a diagnosis asks of the machine: sysctls, sockets,
// addresses and routes of one network namespace. It only reads, and nothing that
// it reads has the kernel load a module: sockets come from /proc, not from
// sock_diag.
package machine

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/netns"
)

// Machine is this machine as one network namespace sees it. Each answer is read
// when it is asked for: what a diagnosis tells must be true now.
type Machine struct{ ns *netns.Handle }

var _ diagnose.Machine = (*Machine)(nil)

// New answers for a namespace for as long as its handle is open.
func New(ns *netns.Handle) *Machine { return &Machine{ns} }

// Sysctl implements diagnose.Machine. What stands below net/ is the namespace's.
func (m *Machine) Sysctl(path string) (value string, ok bool) {
	if !local(path) {
		return "", false
	}
	err := m.ns.Do(func() error {
		b, err := os.ReadFile("/proc/sys/" + path)
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err == nil
}

// local refuses what leads out of /proc/sys: interface names are part of paths.
func local(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return false
		}
	}
	return true
}

// Local implements diagnose.Machine.
func (m *Machine) Local(a netip.Addr) (is, ok bool) {
	r, err := m.route(a)
	if errors.Is(err, errNoRoute) {
		return false, true
	}
	return err == nil && r.Type == unix.RTN_LOCAL, err == nil
}

// RouteDevice implements diagnose.Machine.
func (m *Machine) RouteDevice(to netip.Addr) (name string, ok bool) {
	r, err := m.route(to)
	if errors.Is(err, errNoRoute) {
		return "", true
	}
	if err != nil {
		return "", false
	}
	switch r.Type {
	case unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_BLACKHOLE, unix.RTN_THROW:
		return "", true
	}
	err = m.ns.Do(func() error {
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err == nil {
			name = link.Attrs().Name
		}
		return err
	})
	return name, err == nil
}

var errNoRoute = errors.New("no route")

// route asks the kernel, policy routing included, as for a packet of its own.
func (m *Machine) route(to netip.Addr) (netlink.Route, error) {
	var found netlink.Route
	err := m.ns.Do(func() error {
		routes, err := netlink.RouteGet(net.IP(to.Unmap().AsSlice()))
		switch {
		case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES):
			return errNoRoute
		case err != nil:
			return err
		case len(routes) == 0:
			return errNoRoute
		}
		found = routes[0]
		return nil
	})
	return found, err
}

// IsBridge implements diagnose.Machine.
func (m *Machine) IsBridge(name string) (bridge, ok bool) {
	err := m.ns.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err == nil {
			bridge = link.Type() == "bridge"
		}
		return err
	})
	return bridge, err == nil
}

// Program implements diagnose.Machine. Programs live on the machine, not in a
// network namespace.
func (m *Machine) Program(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}
