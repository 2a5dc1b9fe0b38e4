package machine

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func (h *Routes) link(i replay.Interface) netlink.Link {
	if !i.Known {
		return nil
	}
	if i.Name != "" {
		return h.links[i.Name]
	}
	return h.byID[int(i.Index)]
}

// Link implements [replay.Environment].
func (h *Routes) Link(i replay.Interface, f ruleset.Field) ([]byte, replay.Presence) {
	l := h.link(i)
	if l == nil {
		return nil, replay.NotKnown
	}
	switch f {
	case ruleset.InIndex, ruleset.OutIndex:
		return binary.BigEndian.AppendUint32(nil, uint32(l.Attrs().Index)), replay.Present
	case ruleset.InGroup, ruleset.OutGroup:
		return binary.BigEndian.AppendUint32(nil, l.Attrs().Group), replay.Present
	case ruleset.InType, ruleset.OutType:
		if n, ok := hardwareType(l.Attrs().EncapType); ok {
			return binary.BigEndian.AppendUint16(nil, n), replay.Present
		}
	case ruleset.InBridge, ruleset.OutBridge:
		return h.bridge(l)
	}
	return nil, replay.NotKnown
}

// bridge names the bridge that an interface is a port of.
func (h *Routes) bridge(l netlink.Link) ([]byte, replay.Presence) {
	index := l.Attrs().MasterIndex
	if index == 0 {
		return nil, replay.Absent
	}
	master := h.byID[index]
	switch {
	case master == nil:
		return nil, replay.NotKnown
	case master.Type() != "bridge":
		return nil, replay.Absent
	}
	name := make([]byte, 16)
	copy(name, master.Attrs().Name)
	return name, replay.Present
}

// hardwareType is the ARPHRD_* of a kind of interface, as package netlink names
// it.
func hardwareType(name string) (uint16, bool) {
	switch name {
	case "ether":
		return 1, true
	case "ppp":
		return 512, true
	case "ipip":
		return 768, true
	case "tunnel6":
		return 769, true
	case "loopback":
		return 772, true
	case "sit":
		return 776, true
	case "gre":
		return 778, true
	case "none":
		return 0xfffe, true
	}
	return 0, false
}

// Address implements [replay.Addresses]; not known where there are several, as
// which is the first changes with their scope and kernel.
func (h *Routes) Address(i replay.Interface, family string) ([]byte, replay.Presence) {
	l := h.link(i)
	if l == nil {
		return nil, replay.NotKnown
	}
	var found []byte
	for _, a := range h.addrs {
		addr, ok := netip.AddrFromSlice(a.IP)
		if addr = addr.Unmap(); !ok || a.LinkIndex != l.Attrs().Index || addr.Is4() != (family == "ip") {
			continue
		}
		if found != nil {
			return nil, replay.NotKnown
		}
		found = addr.AsSlice()
	}
	if found == nil {
		return nil, replay.NotKnown
	}
	return found, replay.Present
}
