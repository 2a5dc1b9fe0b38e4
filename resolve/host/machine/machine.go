// Package machine answers for one network namespace what no packet and no rule
// says: sysctls, sockets, links, addresses, routes, and what hides drops.
//
// [Machine] looks whenever it is asked, since what a diagnosis says must be true
// now; [Routes] looks once, for many packets. Both only read, and nothing that they
// read has the kernel load a module: sockets come from /proc, not from sock_diag.
package machine

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/program"
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

// RouteTo implements diagnose.Machine.
func (m *Machine) RouteTo(to netip.Addr) (r diagnose.Route, ok bool) {
	found, err := m.route(to)
	var refused refusedError
	switch {
	case errors.As(err, &refused):
		return diagnose.Route{Refused: string(refused)}, true
	case errors.Is(err, errNoRoute):
		return r, true
	case err != nil:
		return r, false
	}
	r.Gateway, _ = netip.AddrFromSlice(found.Gw)
	r.Gateway, r.MTU = r.Gateway.Unmap(), found.MTU
	err = m.ns.Do(func() error {
		link, err := netlink.LinkByIndex(found.LinkIndex)
		if err == nil {
			r.Device = link.Attrs().Name
		}
		return err
	})
	return r, err == nil
}

var errNoRoute = errors.New("no route")

// refusedError is the type of a route that leads nowhere.
type refusedError string

func (e refusedError) Error() string { return "route of type " + string(e) }

func (e refusedError) Is(target error) bool { return target == errNoRoute }

// route asks the kernel, policy routing included, as for a packet of its own. The
// error tells the type of a route that leads nowhere (fib_props of
// net/ipv4/fib_semantics.c, ip6_rt_type_to_error of net/ipv6/route.c).
func (m *Machine) route(to netip.Addr) (netlink.Route, error) {
	var found netlink.Route
	err := m.ns.Do(func() error {
		routes, err := netlink.RouteGet(net.IP(to.Unmap().AsSlice()))
		switch {
		case errors.Is(err, unix.EHOSTUNREACH):
			return refusedError("unreachable")
		case errors.Is(err, unix.EACCES):
			return refusedError("prohibit")
		case errors.Is(err, unix.EINVAL):
			return refusedError("blackhole")
		case errors.Is(err, unix.ENETUNREACH):
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

// Interface implements diagnose.Machine.
func (m *Machine) Interface(name string) (i diagnose.Interface, ok bool) {
	err := m.ns.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		a := link.Attrs()
		i = diagnose.Interface{Bridge: link.Type() == "bridge", MTU: a.MTU, Hardware: a.HardwareAddr,
			Up: a.Flags&net.FlagUp != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0}
		switch l := link.(type) {
		case *netlink.Vxlan:
			i.VNI, i.FlowBased = l.VxlanId, l.FlowBased
		case *netlink.Geneve:
			i.VNI = int(l.ID)
		}
		return below(&i, link)
	})
	return i, err == nil
}

// Program implements diagnose.Machine. Programs live on the machine, not in a
// network namespace.
func (m *Machine) Program(name string) bool {
	_, err := program.Runner{}.Find(name)
	return err == nil
}
