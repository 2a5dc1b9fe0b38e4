package machine

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/diagnose"
)

var _ diagnose.Networks = (*Machine)(nil)

// Network implements diagnose.Networks by the addresses of the interfaces.
func (m *Machine) Network(a netip.Addr) (p netip.Prefix, ok bool) {
	err := m.ns.Do(func() error {
		list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, own := range list {
			addr, valid := netip.AddrFromSlice(own.IP)
			bits, _ := own.Mask.Size()
			addr = addr.Unmap()
			if !valid || addr.Is4() != a.Is4() || bits == 0 || bits == addr.BitLen() {
				continue
			}
			if n := netip.PrefixFrom(addr, bits).Masked(); n.Contains(a) && n.Bits() > p.Bits() {
				p, ok = n, true
			}
		}
		return nil
	})
	return p, ok && err == nil
}

// Default implements diagnose.Networks, of all routing tables.
func (m *Machine) Default(device string) (is, ok bool) {
	err := m.ns.Do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		all := netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		list, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &all, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		is = slices.ContainsFunc(list, func(r netlink.Route) bool { return isDefault(&r) && leavesBy(&r, link.Attrs().Index) })
		return nil
	})
	return is, err == nil
}

// isDefault: as two halves of all addresses, too, which VPNs set.
func isDefault(r *netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	bits, _ := r.Dst.Mask.Size()
	return bits <= 1
}

func leavesBy(r *netlink.Route, index int) bool {
	return r.LinkIndex == index ||
		slices.ContainsFunc(r.MultiPath, func(n *netlink.NexthopInfo) bool { return n.LinkIndex == index })
}
