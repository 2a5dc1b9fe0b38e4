package machine

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
)

// Namespace is a network namespace to look at.
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

// Routes answers from a namespace's interfaces, addresses and local routes as they
// were when it was opened; other routes are looked up by the kernel when they are
// asked for. It may be used by several goroutines.
type Routes struct {
	ns     Namespace
	handle *netlink.Handle
	links  map[string]netlink.Link
	byID   map[int]netlink.Link
	addrs  []netlink.Addr
	local  []localRoute // the most specific first
	// plain: there are no rules but those that every namespace begins with, so
	// that marks and interfaces have no say in a look-up.
	plain bool
	// vrf: some interface has a routing table of its own.
	vrf bool
}

// localRoute is one of the table that says which addresses are whose.
type localRoute struct {
	prefix netip.Prefix
	kind   uint8
	link   int
}

var (
	_ replay.Environment = (*Routes)(nil)
	_ replay.Router      = (*Routes)(nil)
	_ replay.Addresses   = (*Routes)(nil)
)

// OpenRoutes looks at a namespace. Close lets it go.
func OpenRoutes(ns Namespace) (*Routes, error) {
	h := &Routes{ns: ns, links: make(map[string]netlink.Link), byID: make(map[int]netlink.Link)}
	if err := ns.Do(h.open); err != nil {
		return nil, fmt.Errorf("read routes and interfaces: %w", err)
	}
	return h, nil
}

func (h *Routes) open() (err error) {
	if h.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			h.handle.Close()
		}
	}()
	links, err := h.handle.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		h.links[l.Attrs().Name], h.byID[l.Attrs().Index] = l, l
		h.vrf = h.vrf || l.Type() == "vrf"
	}
	if h.addrs, err = h.handle.AddrList(nil, netlink.FAMILY_ALL); err != nil {
		return err
	}
	if err = h.readLocal(); err != nil {
		return err
	}
	rules, err := h.handle.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	h.plain = !slices.ContainsFunc(rules, special)
	return nil
}

// special tells rules that users made from those of every namespace.
func special(r netlink.Rule) bool {
	return r.Table != unix.RT_TABLE_LOCAL && r.Table != unix.RT_TABLE_MAIN && r.Table != unix.RT_TABLE_DEFAULT ||
		r.Src != nil || r.Dst != nil || r.IifName != "" || r.OifName != "" || r.Mark != 0 || r.Invert ||
		r.SuppressPrefixlen >= 0 || r.SuppressIfgroup >= 0
}

func (h *Routes) readLocal() error {
	routes, err := h.handle.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		a, ok := netip.AddrFromSlice(r.Dst.IP)
		bits, size := r.Dst.Mask.Size()
		if r.Family == unix.AF_INET {
			a = a.Unmap()
		}
		if ok && a.BitLen() == size {
			h.local = append(h.local, localRoute{netip.PrefixFrom(a, bits), uint8(r.Type), r.LinkIndex})
		}
	}
	slices.SortStableFunc(h.local, func(a, b localRoute) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	return nil
}

// Close lets the namespace go.
func (h *Routes) Close() { h.handle.Close() }

// sysctl reads one of the namespace's, by its path below /proc/sys/net.
func (h *Routes) sysctl(path string) (value string) {
	h.ns.Do(func() error {
		b, err := os.ReadFile("/proc/sys/net/" + path)
		value = strings.TrimSpace(string(b))
		return err
	})
	return value
}
