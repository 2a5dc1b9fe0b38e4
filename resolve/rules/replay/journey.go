package replay

import (
	"bytes"
	"encoding/binary"

	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Route is the kernel's decision where a packet goes.
type Route struct {
	// Type is RTN_UNICAST 1, LOCAL 2, BROADCAST 3, MULTICAST 5, …; 0 where it
	// is not known.
	Type uint8
	// Out is the interface that it leaves by; not set for this host.
	Out Interface
	// Refused says in words why the kernel drops the packet here; empty where
	// it does not.
	Refused string
}

// RTN_* of uapi linux/rtnetlink.h.
const (
	routeLocal     = 2
	routeBroadcast = 3
	routeMulticast = 5
)

// Router is an [Environment] that can decide where a packet goes.
type Router interface {
	// Route looks the packet up as the kernel does: one that came in by p.In,
	// or one of this host.
	Route(p *Packet) Route
}

// Stage is one hook of a packet's way, or with no Hook.Name the routing decision.
type Stage struct {
	Hook   Hook
	Packet Packet // as it came in
	Result *Result
	Route  *Route
}

// Journey is a packet's way through the hooks.
type Journey struct {
	Stages []Stage
	// Verdict is Accepted where the packet leaves the machine or reaches its
	// socket layer, as far as netfilter and routing decide.
	Verdict Verdict
	// Last and Candidates are those of the hooks together.
	Last       Place
	Candidates []Place
	// Refused is set where routing dropped it.
	Refused string
	// Stopped says why the way could not be followed further.
	Stopped string
}

// Journey follows a packet from the interface that it comes in by, or with
// p.In.Known and no name from this host, until it leaves or is dropped.
func (f *Firewall) Journey(p *Packet, env Environment, o Options) *Journey {
	j := &journey{f: f, env: env, o: o, out: &Journey{}, now: *p, sure: true}
	j.walk()
	j.conclude()
	return j.out
}

type journey struct {
	f    *Firewall
	env  Environment
	o    Options
	out  *Journey
	now  Packet
	sure bool // nothing before may have ended its way
	over bool
}

func (j *journey) family() string {
	if j.now.EtherType == etherIPv6 {
		return "ip6"
	}
	return "ip"
}

var none = Interface{Known: true}

func (j *journey) walk() {
	if j.now.In == none {
		j.fromHere()
		return
	}
	j.netdev("ingress", j.now.In.Name)
	if j.bridge(); j.over {
		return
	}
	out := j.now.Out
	j.now.Out = none
	if j.hook("prerouting"); j.over {
		return
	}
	j.arrived(out)
}

// fromHere is the way of a packet of this host. To itself it comes in again.
func (j *journey) fromHere() {
	route := j.route()
	if route.Type != 0 && !j.now.Out.Known {
		j.now.Out = route.Out
	}
	if j.over {
		return
	}
	before := j.now
	if j.hook("output"); j.over {
		return
	}
	if j.reroutes(&before) {
		j.now.Out = Interface{}
		if route = j.route(); j.over {
			return
		}
		j.now.Out = route.Out
	}
	if j.hook("postrouting"); j.over {
		return
	}
	j.now.Conntrack.Status |= netfilter.StatusConfirmed
	if !j.now.Out.Known {
		j.stop("where the packet is routed to is not known")
		return
	}
	if j.now.Out.Name != "lo" {
		j.netdev("egress", j.now.Out.Name)
		return
	}
	j.now.In, j.now.Out = j.now.Out, none
	if j.hook("prerouting"); !j.over {
		j.hook("input")
	}
}

// reroutes reports whether the output hook left another destination or mark, so
// that the kernel looks for the route again (ip_route_me_harder).
func (j *journey) reroutes(before *Packet) bool {
	at, size := addressAt(j.family(), false), addressSize(j.family())
	if len(j.now.kept.unknown) > len(before.kept.unknown) || j.now.Mark != before.Mark || j.now.MarkKnown != before.MarkKnown {
		return true
	}
	a, _ := slice(before, at, size)
	b, _ := slice(&j.now, at, size)
	return !bytes.Equal(a, b)
}

// arrived is the way behind prerouting: to this host or through it. out is the
// interface that the caller knows it to leave by.
func (j *journey) arrived(out Interface) {
	route := j.route()
	switch {
	case j.over:
		return
	case route.Type == 0 && out.Known && out.Name != "":
		j.now.Out = out
	case route.Type == 0:
		j.stop("where the packet is routed to is not known")
		return
	case route.Type == routeLocal || route.Type == routeBroadcast || route.Type == routeMulticast:
		j.hook("input")
		return
	default:
		j.now.Out = route.Out
	}
	if j.age(); j.over {
		return
	}
	for _, h := range []string{"forward", "postrouting"} {
		if j.hook(h); j.over {
			return
		}
	}
	j.netdev("egress", j.now.Out.Name)
}

// age takes one from the TTL of a packet that is forwarded, as ip_forward and
// ip6_forward do before their hook.
func (j *journey) age() {
	at := 8
	if j.now.EtherType == etherIPv6 {
		at = 7
	}
	if len(j.now.Bytes) <= at {
		return
	}
	if j.now.Bytes[at] <= 1 {
		j.refuse(TimeToLive)
		return
	}
	b := append([]byte(nil), j.now.Bytes...)
	b[at]--
	if at == 8 && len(b) >= 12 {
		sum := binary.BigEndian.Uint16(b[10:])
		sum += 0x100
		if sum < 0x100 {
			sum++
		}
		binary.BigEndian.PutUint16(b[10:], sum)
	}
	j.now.Bytes = b
}

// TimeToLive is [Journey.Refused] of a packet that may go no further.
const TimeToLive = "its TTL ends here"

// refuse ends the way at routing.
func (j *journey) refuse(why string) {
	j.out.Refused, j.over = why, true
	if j.sure {
		j.out.Verdict = Dropped
	}
}

func (j *journey) stop(why string) {
	j.out.Stopped, j.over, j.sure = why, true, false
}

// route asks where the packet goes now.
func (j *journey) route() Route {
	r, ok := j.env.(Router)
	if !ok {
		return Route{}
	}
	route := Route{}
	if j.addressed() {
		route = r.Route(&j.now)
	}
	j.out.Stages = append(j.out.Stages, Stage{Packet: j.now, Route: &route})
	if route.Refused != "" {
		j.refuse(route.Refused)
	}
	return route
}

// addressed reports whether the packet's addresses are known.
func (j *journey) addressed() bool {
	from := addressAt(j.family(), true)
	to := from + 2*addressSize(j.family())
	for _, u := range j.now.kept.unknown {
		if u.from < to && from < u.to {
			return false
		}
	}
	return len(j.now.Bytes) >= to
}

// bridge is the way of a packet that came in by a bridge's port.
func (j *journey) bridge() {
	if j.env == nil || !j.now.In.Known {
		return
	}
	name, presence := j.env.Link(j.now.In, ruleset.InBridge)
	if presence != Present {
		return
	}
	for _, h := range []string{"prerouting", "input"} {
		if j.f.has(Hook{Family: "bridge", Name: h}) {
			j.at(Hook{Family: "bridge", Name: h})
			if j.over {
				return
			}
		}
	}
	j.now.In = Interface{Known: true, Name: cString(name)}
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func (j *journey) netdev(hook, device string) {
	h := Hook{Family: "netdev", Name: hook, Device: device}
	if device != "" && !j.over && j.f.has(h) {
		j.at(h)
	}
}

func (j *journey) hook(name string) { j.at(Hook{Family: j.family(), Name: name}) }

// has reports whether any base chain stands at a hook.
func (f *Firewall) has(h Hook) bool {
	for _, c := range f.bases {
		if c.at(h) {
			return true
		}
	}
	return false
}

func (j *journey) at(h Hook) {
	if j.over {
		return
	}
	res := j.f.At(h, &j.now, j.env, j.o)
	j.out.Stages = append(j.out.Stages, Stage{Hook: h, Packet: j.now, Result: res})
	j.out.Candidates = append(j.out.Candidates, res.Candidates...)
	j.now = res.After
	switch res.Verdict {
	case Accepted:
	case CannotKnow:
		j.sure = false
		j.over = res.Capped
	default:
		j.over = true
		if j.sure || res.Verdict == Dropped || res.Verdict == Rejected {
			j.out.Verdict = res.Verdict
		}
		if j.sure {
			j.out.Last = res.Last
		}
	}
}

// conclude tells the verdict of the whole.
func (j *journey) conclude() {
	if !j.over && j.sure {
		j.out.Verdict = Accepted
	}
}
