package machine

import (
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/diagnose"
)

// below fills in the kind of an interface and what it stands on. It is called
// inside the namespace.
func below(i *diagnose.Interface, link netlink.Link) error {
	a := link.Attrs()
	if link.Type() != "device" {
		i.Kind = link.Type()
	}
	if a.MasterIndex != 0 {
		if master, err := netlink.LinkByIndex(a.MasterIndex); err == nil && master.Type() == "vrf" {
			i.VRF = master.Attrs().Name
		}
	}
	switch i.Kind {
	case "bridge", "bond", "team":
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Attrs().MasterIndex == a.Index {
				i.Below = append(i.Below, lower(l))
			}
		}
		slices.SortFunc(i.Below, func(a, b diagnose.Lower) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
	default:
		if a.ParentIndex == 0 {
			return nil
		}
		if a.NetNsID >= 0 { // IFLA_LINK_NETNSID: the other end is elsewhere
			i.Below = []diagnose.Lower{{}}
			return nil
		}
		l, err := netlink.LinkByIndex(a.ParentIndex)
		if err != nil {
			return nil // it was there a moment ago
		}
		i.Below = []diagnose.Lower{lower(l)}
	}
	return nil
}

func lower(l netlink.Link) diagnose.Lower {
	a := l.Attrs()
	return diagnose.Lower{Name: a.Name, Up: a.Flags&net.FlagUp != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0}
}
