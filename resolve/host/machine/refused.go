package machine

import (
	"bufio"
	"errors"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
)

// How the words of [replay.Route.Refused] begin.
const (
	ReversePath        = "reverse path filter"
	MartianSource      = "martian source"
	MartianDestination = "martian destination"
	OwnSource          = "its source is this host's own address"
	Loopback           = "a loopback address from outside"
	NotJoined          = "no program here has joined"
	RouteRefuses       = "the route to its destination refuses it"
	ForwardingOff      = "forwarding is off"
)

// refused puts the kernel's answer to a look-up into words; empty where it is
// not the packet's fault.
func (h *Routes) refused(p *replay.Packet, err error) string {
	arrived := p.In.Name != ""
	switch {
	case errors.Is(err, unix.EXDEV):
		return ReversePath + ": the route back to its source is by another interface, or there is none"
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		if arrived && h.forwarding(p) == "0" {
			return ForwardingOff
		}
		return "no route to its destination"
	case errors.Is(err, unix.EINVAL) && arrived:
		return h.invalid(p)
	case errors.Is(err, unix.EINVAL) && h.blackhole(p), errors.Is(err, unix.EACCES):
		return RouteRefuses
	}
	return ""
}

// invalid finds out which of its checks the kernel means by EINVAL: those of
// ip_route_input_slow and __fib_validate_source, in their order. From 6.14 on it is
// also the answer of the reverse path filter, which was EXDEV before.
func (h *Routes) invalid(p *replay.Packet) string {
	src, dst := addresses(p)
	local := "on"
	if l := h.link(p.In); l != nil {
		local = h.sysctl("ipv4/conf/" + l.Attrs().Name + "/route_localnet")
	}
	switch {
	case !src.Is4():
		return RouteRefuses // IPv6 has none of these checks; a blackhole is EINVAL
	case src.IsMulticast(), src == netip.AddrFrom4([4]byte{255, 255, 255, 255}), src.IsUnspecified(): // 0.0.0.0/8 is valid from 5.3 on
		return MartianSource + ": no packet can come from such an address"
	case dst.IsUnspecified():
		return MartianDestination + ": no packet can go to such an address"
	case (dst.IsLoopback() || src.IsLoopback()) && local == "0":
		return Loopback + " (route_localnet is off)"
	case dst.IsMulticast():
		return NotJoined + " " + dst.String()
	}
	for _, r := range h.local {
		if !r.prefix.Contains(src) {
			continue
		}
		if r.kind == unix.RTN_LOCAL {
			return OwnSource
		}
		return MartianSource + ": it is a broadcast address"
	}
	switch {
	case h.blackhole(p):
		return RouteRefuses
	case h.filtersReversePath(p):
		return ReversePath + ": the route back to its source is by another interface, or there is none"
	}
	return "the kernel's routing refuses its addresses (EINVAL)"
}

// blackhole reports whether the route to the packet's destination is one: the way
// out, which no check of the source is part of, refuses it, too.
func (h *Routes) blackhole(p *replay.Packet) bool {
	_, dst := addresses(p)
	_, err := h.handle.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{Mark: p.Mark})
	return errors.Is(err, unix.EINVAL)
}

func (h *Routes) filtersReversePath(p *replay.Packet) bool {
	l := h.link(p.In)
	on := func(name string) bool {
		v := h.sysctl("ipv4/conf/" + name + "/rp_filter")
		return v != "" && v != "0"
	}
	return l != nil && (on("all") || on(l.Attrs().Name))
}

// martian6 is what ip6_rcv_core refuses before any rule; empty for nothing.
func martian6(src, dst netip.Addr) string {
	switch {
	case !src.Is6():
		return ""
	case src.IsMulticast():
		return MartianSource + ": no packet can come from such an address"
	case src.IsLoopback(), dst.IsLoopback():
		return Loopback
	}
	return ""
}

// joined6 is where an IPv6 multicast goes: to this host if somebody here has joined
// the group on that interface (ip6_mc_input). Every interface is in ff01::1 and
// ff02::1 without being listed.
func (h *Routes) joined6(index int, group netip.Addr) replay.Route {
	all := group == netip.IPv6LinkLocalAllNodes() || group == netip.MustParseAddr("ff01::1")
	if all || h.listed6(index, group) {
		return replay.Route{Type: unix.RTN_MULTICAST}
	}
	if h.sysctl("ipv6/conf/all/mc_forwarding") != "0" {
		return replay.Route{} // a routing daemon decides
	}
	return replay.Route{Refused: NotJoined + " " + group.String()}
}

// listed6 looks the group up in /proc/net/igmp6: index, name, group, users.
func (h *Routes) listed6(index int, group netip.Addr) (found bool) {
	l := h.byID[index]
	if l == nil {
		return false
	}
	h.ns.Do(func() error {
		f, err := os.Open("/proc/thread-self/net/igmp6")
		if err != nil {
			return err
		}
		defer f.Close()
		want := strings.ReplaceAll(group.StringExpanded(), ":", "")
		for lines := bufio.NewScanner(f); lines.Scan(); {
			w := strings.Fields(lines.Text())
			found = found || len(w) > 2 && w[1] == l.Attrs().Name && w[2] == want
		}
		return nil
	})
	return found
}
