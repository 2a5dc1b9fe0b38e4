package machine

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
)

// Route implements [replay.Router]: the kernel itself looks the packet up, with
// policy routing, reverse path filter and martians as for the packet.
func (h *Routes) Route(p *replay.Packet) replay.Route {
	src, dst := addresses(p)
	if !dst.IsValid() || !p.In.Known {
		return replay.Route{}
	}
	options := &netlink.RouteGetOptions{SrcAddr: src.AsSlice(), Mark: p.Mark}
	here := p.In.Name == "" && p.In.Index == 0
	if !here {
		in := h.link(p.In)
		if in == nil {
			return replay.Route{}
		}
		options.IifIndex = in.Attrs().Index
	} else if src.IsUnspecified() {
		options.SrcAddr = nil
	} else if p.UID >= 0 {
		uid := uint32(p.UID)
		options.UID = &uid
	}
	if here && p.Out.Known && p.Out.Name != "" {
		if out := h.link(p.Out); out != nil {
			options.OifIndex = out.Attrs().Index
		}
	}
	if why := martian6(src, dst); !here && p.In.Name != "lo" && why != "" {
		return replay.Route{Refused: why}
	}
	if !here && dst.Is6() && dst.IsMulticast() {
		return h.joined6(options.IifIndex, dst)
	}
	routes, err := h.handle.RouteGetWithOptions(dst.AsSlice(), options)
	if err != nil {
		return replay.Route{Refused: h.refused(p, err)}
	}
	if len(routes) == 0 {
		return replay.Route{}
	}
	r := &routes[0]
	switch r.Type {
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT, unix.RTN_THROW:
		return replay.Route{Refused: "the route to its destination refuses it"}
	}
	out := replay.Route{Type: uint8(r.Type)}
	if out.Type == unix.RTN_UNICAST && !here && h.forwarding(p) == "0" {
		return replay.Route{Refused: ForwardingOff}
	}
	// A packet of this host to itself leaves by lo, and comes in again.
	if l := h.byID[r.LinkIndex]; l != nil && (here || out.Type == unix.RTN_UNICAST) {
		out.Out = replay.Interface{Known: true, Index: uint32(r.LinkIndex), Name: l.Attrs().Name}
	}
	return out
}

// forwarding is the sysctl that lets packets of this interface through.
func (h *Routes) forwarding(p *replay.Packet) string {
	if p.EtherType == unix.ETH_P_IPV6 {
		return h.sysctl("ipv6/conf/all/forwarding")
	}
	if l := h.link(p.In); l != nil {
		return h.sysctl("ipv4/conf/" + l.Attrs().Name + "/forwarding")
	}
	return ""
}
