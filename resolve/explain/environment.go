package explain

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/machine"
	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// Live answers for a network namespace of this machine: the kernel itself is
// asked where a packet goes (RTM_GETROUTE).
type Live struct {
	*machine.Machine
	ns *netns.Handle
}

var (
	_ replay.Router    = (*Live)(nil)
	_ replay.Addresses = (*Live)(nil)
)

// NewLive answers as long as the handle is open.
func NewLive(ns *netns.Handle) *Live { return &Live{machine.New(ns), ns} }

// Link adds the bridge of a port to what the machine answers.
func (l *Live) Link(i replay.Interface, f ruleset.Field) ([]byte, replay.Presence) {
	if f != ruleset.InBridge && f != ruleset.OutBridge {
		return l.Machine.Link(i, f)
	}
	name, presence := "", replay.NotKnown
	err := l.ns.Do(func() error {
		link, err := netlink.LinkByName(i.Name)
		if err != nil {
			return err
		}
		if presence = replay.Absent; link.Attrs().MasterIndex == 0 {
			return nil
		}
		master, err := netlink.LinkByIndex(link.Attrs().MasterIndex)
		if err != nil {
			return err
		}
		if master.Type() == "bridge" {
			name, presence = master.Attrs().Name, replay.Present
		}
		return nil
	})
	if err != nil || i.Name == "" {
		return nil, replay.NotKnown
	}
	value := make([]byte, ruleset.InBridge.Size())
	copy(value, name)
	return value, presence
}

// Address is the interface's first of the family.
func (l *Live) Address(i replay.Interface, family string) ([]byte, replay.Presence) {
	number := netlink.FAMILY_V4
	if family == "ip6" {
		number = netlink.FAMILY_V6
	}
	var found net.IP
	err := l.ns.Do(func() error {
		link, err := netlink.LinkByName(i.Name)
		if err != nil {
			return err
		}
		list, err := netlink.AddrList(link, number)
		if err == nil && len(list) > 0 {
			found = list[0].IP
		}
		return err
	})
	a, ok := netip.AddrFromSlice(found)
	if err != nil || !ok {
		return nil, replay.NotKnown
	}
	return a.Unmap().AsSlice(), replay.Present
}

// Refusals of routing, as the words of replay.Route. They are also the kernel's
// reasons for which package diagnose knows what to do.
const (
	NoRoute     = "IP_INNOROUTES"
	ReversePath = "IP_RPFILTER"
	Martian     = "IP_INVALID_SOURCE"
	NoRouteOut  = "IP_OUTNOROUTES"
)

// Route asks the kernel.
func (l *Live) Route(p *replay.Packet) replay.Route {
	var h packet.Packet
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &h)
	if !h.Destination.IsValid() || !h.Source.IsValid() {
		return replay.Route{}
	}
	o := &netlink.RouteGetOptions{Mark: p.Mark, SrcAddr: h.Source.AsSlice()}
	if p.In.Name != "" {
		o.Iif = p.In.Name
	}
	var out replay.Route
	err := l.ns.Do(func() error {
		list, err := netlink.RouteGetWithOptions(h.Destination.AsSlice(), o)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return unix.EHOSTUNREACH
		}
		out, err = routeOf(&list[0])
		return err
	})
	if err != nil {
		return refusal(err, p.In.Name != "")
	}
	if out.Type == unix.RTN_UNICAST && p.In.Name != "" && h.Destination.Is6() {
		// IPv6 finds the route first and asks whether it forwards then.
		if v, ok := l.Sysctl("net/ipv6/conf/all/forwarding"); ok && v == "0" {
			return replay.Route{Type: out.Type, Refused: NoRoute}
		}
	}
	return out
}

func routeOf(r *netlink.Route) (replay.Route, error) {
	switch r.Type {
	case unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_BLACKHOLE:
		return replay.Route{}, unix.EHOSTUNREACH
	}
	out := replay.Route{Type: uint8(r.Type)}
	if out.Type == unix.RTN_LOCAL || out.Type == unix.RTN_BROADCAST || out.Type == unix.RTN_MULTICAST {
		out.Out = replay.Interface{Known: true, Name: "lo", Index: 1}
		return out, nil
	}
	link, err := netlink.LinkByIndex(r.LinkIndex)
	if err != nil {
		return out, fmt.Errorf("name the interface of the route: %w", err)
	}
	out.Out = replay.Interface{Known: true, Name: link.Attrs().Name, Index: uint32(r.LinkIndex)}
	return out, nil
}

// refusal turns the answer of RTM_GETROUTE for a packet that came in: see
// fib_validate_source and ip_route_input_slow. What is not about the packet
// leaves the route unknown.
func refusal(err error, arrived bool) replay.Route {
	switch {
	case errors.Is(err, unix.EXDEV):
		return replay.Route{Refused: ReversePath}
	case errors.Is(err, unix.EINVAL) && arrived:
		return replay.Route{Refused: Martian}
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EACCES):
		if !arrived {
			return replay.Route{Refused: NoRouteOut}
		}
		return replay.Route{Refused: NoRoute}
	}
	return replay.Route{}
}

// Saved answers for rules from files, whose machine is not there: a packet that
// comes in is for the host unless it is said where it leaves.
type Saved struct{ Out replay.Interface }

var _ replay.Router = Saved{}

// FIB knows nothing.
func (Saved) FIB(*replay.Packet, uint8, ruleset.FIBResult) ([]byte, replay.Presence) {
	return nil, replay.NotKnown
}

// Link knows nothing.
func (Saved) Link(replay.Interface, ruleset.Field) ([]byte, replay.Presence) {
	return nil, replay.NotKnown
}

// Route goes by what the question says.
func (s Saved) Route(p *replay.Packet) replay.Route {
	if s.Out.Name != "" {
		return replay.Route{Type: unix.RTN_UNICAST, Out: s.Out}
	}
	if p.In.Name != "" {
		return replay.Route{Type: unix.RTN_LOCAL}
	}
	return replay.Route{}
}
