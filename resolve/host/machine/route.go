package machine

import (
	"errors"

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
		return replay.Route{Refused: forwardingOff}
	}
	// A packet of this host to itself leaves by lo, and comes in again.
	if l := h.byID[r.LinkIndex]; l != nil && (here || out.Type == unix.RTN_UNICAST) {
		out.Out = replay.Interface{Known: true, Index: uint32(r.LinkIndex), Name: l.Attrs().Name}
	}
	return out
}

const forwardingOff = "forwarding is off"

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

// refused puts the kernel's answer to a look-up into words; empty where it is
// not the packet's fault.
func (h *Routes) refused(p *replay.Packet, err error) string {
	switch {
	case errors.Is(err, unix.EXDEV):
		return "reverse path filter: the route back to its source is by another interface"
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		if p.In.Name != "" && h.forwarding(p) == "0" {
			return forwardingOff
		}
		return "no route to its destination"
	case errors.Is(err, unix.EINVAL) && p.In.Name != "":
		return "martian: its source or destination cannot come in by this interface"
	case errors.Is(err, unix.EACCES):
		return "the route to its destination refuses it"
	}
	return ""
}
