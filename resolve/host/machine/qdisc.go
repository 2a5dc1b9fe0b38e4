package machine

import (
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/droptrace/droptrace/resolve/diagnose"
)

var _ diagnose.Qdiscs = (*Machine)(nil)

// Qdiscs implements diagnose.Qdiscs.
func (m *Machine) Qdiscs(device string) (list []diagnose.Qdisc, ok bool) {
	err := m.ns.Do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		found, err := netlink.QdiscList(link)
		for _, q := range found {
			a := q.Attrs()
			if a.Parent == netlink.HANDLE_INGRESS || a.Parent == netlink.HANDLE_CLSACT {
				continue // those send nothing
			}
			list = append(list, diagnose.Qdisc{Kind: q.Type(), Handle: netlink.HandleStr(a.Handle), Limit: limitText(q)})
		}
		return err
	})
	return list, err == nil
}

// limitText is how much a queueing discipline holds, "" where its options do not show
// it.
func limitText(q netlink.Qdisc) string {
	switch q := q.(type) {
	case *netlink.Tbf:
		return fmt.Sprintf("%d bytes", q.Limit)
	case *netlink.Fq:
		if q.PacketLimit != 0 {
			return fmt.Sprintf("%d packets", q.PacketLimit)
		}
	case *netlink.FqCodel:
		if q.Limit != 0 {
			return fmt.Sprintf("%d packets", q.Limit)
		}
	case *netlink.Netem:
		if q.Limit != 0 {
			return fmt.Sprintf("%d packets", q.Limit)
		}
	}
	return ""
}
