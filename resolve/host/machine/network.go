package machine

import (
	"net/netip"

	"github.com/vishvananda/netlink"

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
