package machine

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// addresses of a packet; invalid where it is cut short.
func addresses(p *replay.Packet) (src, dst netip.Addr) {
	var h packet.Packet
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &h)
	return h.Source, h.Destination
}

// FIB implements [replay.Environment].
func (h *Routes) FIB(p *replay.Packet, key uint8, result ruleset.FIBResult) ([]byte, replay.Presence) {
	src, dst := addresses(p)
	a := dst
	if key&ruleset.FIBSource != 0 {
		a = src
	}
	if !a.IsValid() || h.vrf || key&(ruleset.FIBSource|ruleset.FIBDest) == 0 {
		return nil, replay.NotKnown
	}
	dev, ok := h.device(p, key)
	if !ok {
		return nil, replay.NotKnown
	}
	if result == ruleset.FIBType {
		return h.kind(a, dev)
	}
	return h.outlet(p, key, a, dev, result)
}

// device is the interface that the look-up is bound to, nil for none.
func (h *Routes) device(p *replay.Packet, key uint8) (netlink.Link, bool) {
	var i replay.Interface
	switch {
	case key&ruleset.FIBIn != 0:
		i = p.In
	case key&ruleset.FIBOut != 0:
		i = p.Out
	default:
		return nil, true
	}
	if i.Known && i.Name == "" && i.Index == 0 {
		return nil, true
	}
	l := h.link(i)
	return l, l != nil
}

// kind is the type of an address. IPv4 asks the local table alone (inet_addr_type),
// IPv6 the routes.
func (h *Routes) kind(a netip.Addr, dev netlink.Link) ([]byte, replay.Presence) {
	if a.IsMulticast() {
		return typeOf(unix.RTN_MULTICAST)
	}
	if a.Is4() {
		if a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return typeOf(unix.RTN_BROADCAST)
		}
	}
	for _, r := range h.local {
		if !r.prefix.Contains(a) {
			continue
		}
		if a.Is4() && dev != nil && r.link != dev.Attrs().Index {
			return typeOf(unix.RTN_UNICAST)
		}
		if !a.Is4() && (dev != nil || r.kind != unix.RTN_LOCAL) {
			return nil, replay.NotKnown
		}
		return typeOf(r.kind)
	}
	if a.Is4() {
		return typeOf(unix.RTN_UNICAST)
	}
	if dev != nil || !h.plain || a.IsLinkLocalUnicast() {
		return nil, replay.NotKnown
	}
	routes, err := h.handle.RouteGet(a.AsSlice())
	if err != nil || len(routes) != 1 || routes[0].Type != unix.RTN_UNICAST {
		return nil, replay.NotKnown
	}
	return typeOf(unix.RTN_UNICAST)
}

func typeOf(kind uint8) ([]byte, replay.Presence) {
	return []byte{0, 0, 0, kind}, replay.Present
}

// outlet is the interface of the route to an address; none where there is none,
// where it is no unicast route, or where the look-up is bound to another one.
// That is how rules test the way back of a packet (nft_fib4_eval, nft_fib6_eval).
func (h *Routes) outlet(p *replay.Packet, key uint8, a netip.Addr, dev netlink.Link, result ruleset.FIBResult) ([]byte, replay.Presence) {
	switch {
	case !h.plain, a.IsMulticast(), a.IsLinkLocalUnicast(), a.IsUnspecified(), a.IsLoopback(),
		p.In.Name == "lo", p.PacketType > 0:
		return nil, replay.NotKnown
	case key&(ruleset.FIBIn|ruleset.FIBOut) != 0 && dev == nil:
		return nil, replay.NotKnown
	}
	options := &netlink.RouteGetOptions{FIBMatch: true}
	if !a.Is4() && dev != nil {
		options = &netlink.RouteGetOptions{OifIndex: dev.Attrs().Index}
	}
	routes, err := h.handle.RouteGetWithOptions(a.AsSlice(), options)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return outletOf(nil, result), replay.Present
	case err != nil, len(routes) != 1:
		return nil, replay.NotKnown
	case routes[0].Type != unix.RTN_UNICAST:
		return outletOf(nil, result), replay.Present
	}
	r := &routes[0]
	if len(r.MultiPath) > 0 {
		for _, hop := range r.MultiPath {
			if dev != nil && hop.LinkIndex == dev.Attrs().Index {
				return outletOf(dev, result), replay.Present
			}
		}
		return nil, replay.NotKnown
	}
	out := h.byID[r.LinkIndex]
	switch {
	case out == nil:
		return nil, replay.NotKnown
	case dev != nil && out != dev:
		return outletOf(nil, result), replay.Present
	}
	return outletOf(out, result), replay.Present
}

func outletOf(l netlink.Link, result ruleset.FIBResult) []byte {
	index, name := 0, ""
	if l != nil {
		index, name = l.Attrs().Index, l.Attrs().Name
	}
	switch result {
	case ruleset.FIBOutName:
		b := make([]byte, 16)
		copy(b, name)
		return b
	case ruleset.FIBPresent:
		if l == nil {
			return []byte{0, 0, 0, 0}
		}
		return []byte{0, 0, 0, 1}
	}
	return binary.BigEndian.AppendUint32(nil, uint32(index))
}
