package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
)

// refusedByRoute: routing refuses a packet for its addresses, and the kernel gives no
// reason for that before 6.14, nor one for rp_filter before 5.17. The addresses and
// the machine tell which it was.
func (d *diagnosis) refusedByRoute() []drop.Why {
	if d.c.Machine == nil || !d.f.Source.Is4() || d.f.in == "" {
		return nil
	}
	from, to := d.f.Source, d.f.Destination
	switch {
	case from.IsMulticast(), isBroadcast(from), from.IsUnspecified() && !isBroadcast(to): // 0.0.0.0/8 is valid from 5.3 on
		return d.martian("IP_INVALID_SOURCE")
	case to.IsUnspecified():
		return d.martian("IP_INVALID_DEST")
	case from.IsLoopback(), to.IsLoopback():
		return d.martian("IP_LOCALNET")
	}
	if own, ok := d.c.Machine.Local(from); ok && own {
		return d.martian("IP_LOCAL_SOURCE")
	}
	if mode, ok := d.rpFilter(); ok && mode != 0 && d.c.Reason == "" {
		if w := d.reversePath(); w != nil {
			return w
		}
	}
	if to.IsMulticast() {
		return []drop.Why{{Code: drop.WhyNoListener, Message: fmt.Sprintf("no program here has joined %s on %s", to, d.f.in)}}
	}
	return nil
}

func isBroadcast(a netip.Addr) bool { return a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// rpFilter is the larger of the interface's value and that of "all", which counts.
func (d *diagnosis) rpFilter() (mode int, ok bool) {
	if d.f.in == "" {
		return 0, false
	}
	all, ok1 := d.number("net/ipv4/conf/all/rp_filter")
	own, ok2 := d.number("net/ipv4/conf/" + d.f.in + "/rp_filter")
	return max(all, own), ok1 && ok2
}

// reversePath: rp_filter asks where an answer would leave.
func (d *diagnosis) reversePath() []drop.Why {
	w := drop.Why{Code: drop.WhyReversePath}
	mode, _ := d.rpFilter()
	if w := d.reversedByPolicy(mode); w != nil {
		return w
	}
	var back Route
	known := false
	if d.c.Machine != nil {
		back, known = d.c.Machine.RouteTo(d.f.Source)
	}
	switch {
	case known && back.Device == "":
		w.Message = fmt.Sprintf("it came in by %s, and there is no route back to its source %s (rp_filter)", orNone(d.f.in), d.f.Source)
		if interfaceNames.MatchString(d.f.in) {
			w.Fix = d.c.Namespace.in(d.shell("ip", "route", "add", d.f.Source.String(), "dev", d.f.in))
		}
	case known && back.Device != d.f.in && mode == 1:
		w.Message = fmt.Sprintf("it came in by %s, but answers to its source %s leave by %s, which strict rp_filter (1) does not allow",
			orNone(d.f.in), d.f.Source, back.Device)
		w.Fix = d.sysctl("net.ipv4.conf."+d.f.in+".rp_filter", "2")
	case d.c.Reason == "IP_RPFILTER":
		w.Message = symbol.Explain("", d.c.Reason)
	default:
		return nil
	}
	return []drop.Why{w}
}

// martian tells an address that cannot be where it is, by the reason that 6.14 gives.
func (d *diagnosis) martian(reason string) []drop.Why {
	w := drop.Why{Code: drop.WhyMartian, Message: symbol.Explain("", reason)}
	switch reason {
	case "IP_LOCAL_SOURCE":
		return d.ownSource()
	case "IP_INVALID_SOURCE":
		w.Message = fmt.Sprintf("its source %s is not one that a packet can come from (martian)", d.f.Source)
	case "IP_INVALID_DEST":
		w.Message = fmt.Sprintf("its destination %s is not one that a packet can go to (martian)", d.f.Destination)
	case "IP_LOCALNET":
		w.Message = fmt.Sprintf("%s to %s: a loopback address, but it came in by %s (route_localnet is off)",
			d.f.Source, d.f.Destination, orNone(d.f.in))
		if d.f.in != "" && d.f.Destination.IsLoopback() {
			w.Fix = d.sysctl("net.ipv4.conf."+d.f.in+".route_localnet", "1")
		}
	}
	return []drop.Why{w}
}
