package diagnose

import (
	"fmt"
	"net"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
)

// carrier says why an interface that is up cannot send, by what it stands on: only
// hardware has a cable.
func (d *diagnosis) carrier(name string, i *Interface) drop.Why {
	w := drop.Why{Code: drop.WhyLinkDown}
	switch i.Kind {
	case "":
		w.Message = fmt.Sprintf("%s has no carrier: its cable is out, or its other end is down", name)
	case "bridge", "bond", "team":
		d.ports(&w, name, i)
	case "veth":
		d.parent(&w, name, i, "its other end")
	case "tun", "tap":
		w.Message = fmt.Sprintf("%s has no carrier: no program has it open", name)
	case "wireguard", "vxlan", "geneve", "gre", "gretap", "ip6gre", "ipip", "sit", "vti", "xfrm", "ip6tnl":
		w.Message = fmt.Sprintf("%s (%s) has no carrier", name, i.Kind)
		if len(i.Below) > 0 {
			d.parent(&w, name, i, "its parent")
		}
	default: // vlan, macvlan, ipvlan, macsec, …
		d.parent(&w, name, i, "its parent")
	}
	return w
}

// noRemote: a VXLAN interface has no host to send the frame to (vxlan_xmit). The packet's
// device is that interface.
func (d *diagnosis) noRemote(function string) []drop.Why {
	unspecified := d.c.Reason == "" || d.c.Reason == "NOT_SPECIFIED"
	if d.c.Machine == nil || d.f.in == "" || d.c.Reason != "NO_TX_TARGET" && !(unspecified && function == "vxlan_xmit") {
		return nil
	}
	i, ok := d.c.Machine.Interface(d.f.in)
	if !ok || i.Kind != "vxlan" || i.FlowBased {
		return nil
	}
	to := "this hardware address"
	if link := d.c.Packet.Link; len(link) >= 6 {
		to = net.HardwareAddr(link[:6]).String()
	}
	return []drop.Why{{Code: drop.WhyNoTunnelTarget, Message: fmt.Sprintf(
		"the VXLAN interface %s (VNI %d) knows no host to send it to: it has no remote or group, and no forwarding entry for %s (bridge fdb show dev %[1]s)",
		d.f.in, i.VNI, to)}}
}

// cutOff reports whether all ports of a bridge and its like are down, or it has none.
func (i *Interface) cutOff() bool {
	switch i.Kind {
	case "bridge", "bond", "team":
	default:
		return false
	}
	for _, p := range i.Below {
		if p.Up {
			return false
		}
	}
	return true
}

// ports is for interfaces that have others as ports: one with a carrier is enough.
func (d *diagnosis) ports(w *drop.Why, name string, i *Interface) {
	if len(i.Below) == 0 {
		w.Message = fmt.Sprintf("the %s %s has no ports", i.Kind, name)
		return
	}
	var down, silent []string
	for _, p := range i.Below {
		if !p.Up {
			down = append(down, p.Name)
		} else {
			silent = append(silent, p.Name)
		}
	}
	var parts []string
	if len(down) > 0 {
		parts = append(parts, someOf(down)+" down")
	}
	if len(silent) > 0 {
		parts = append(parts, someOf(silent)+" without carrier or blocked")
	}
	w.Message = fmt.Sprintf("no port of the %s %s can send (%s)", i.Kind, name, strings.Join(parts, "; "))
	if len(silent) == 0 && len(down) == 1 {
		w.Fix = d.c.Namespace.in(shell("ip", "link", "set", down[0], "up"))
	}
}

// parent is for interfaces that stand on one other.
func (d *diagnosis) parent(w *drop.Why, name string, i *Interface, role string) {
	if len(i.Below) == 0 && i.Kind != "veth" { // a dummy and its like have no parent
		w.Message = fmt.Sprintf("%s (%s) has no carrier", name, i.Kind)
		return
	}
	if len(i.Below) == 0 || i.Below[0].Name == "" {
		if len(i.Below) > 0 {
			role += ", in another network namespace,"
		}
		state := "is down"
		if i.Kind != "veth" { // nobody can be asked what the parent lacks
			state += " or has no carrier"
		}
		w.Message = fmt.Sprintf("%s (%s) has no carrier: %s %s", name, i.Kind, role, state)
		return
	}
	p := i.Below[0]
	if !p.Up {
		w.Message = fmt.Sprintf("%s (%s) has no carrier: %s %s is down", name, i.Kind, role, p.Name)
		w.Fix = d.c.Namespace.in(shell("ip", "link", "set", p.Name, "up"))
		return
	}
	w.Message = fmt.Sprintf("%s (%s) has no carrier, since %s %s has none", name, i.Kind, role, p.Name)
}
