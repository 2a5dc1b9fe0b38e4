package filter

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/packet"
)

// MatchEvent decides all that an event can tell: everything but --table,
// --chain and --ctstate. It allocates nothing.
//
// A fragment past the first has no ports; only its conntrack entry can meet a
// flag about them. Where netfilter had no part in the drop, the packet's device
// is known but not whether it was coming in or going out there: it meets --in and
// --out. --netfilter takes every drop in netfilter's functions, whether or not
// the hook was found.
func (f *Filter) MatchEvent(e *event.Event) bool {
	return f.matchNumbers(e) && f.matchHook(e) && f.matchIfaces(e) && f.matchFlow(e)
}

// MatchResolved decides what needs the ruleset or the conntrack state by name.
// table and chain are the dropping rule's, "" where there is none or it is not
// known; ctstate is one of the names that Spec takes, or "".
func (f *Filter) MatchResolved(table, chain, ctstate string) bool {
	return among(table, f.spec.Table) && among(chain, f.spec.Chain) && among(ctstate, f.states)
}

// among reports whether v is in list; an empty list asks for nothing.
func among[T comparable](v T, list []T) bool {
	return len(list) == 0 || slices.Contains(list, v)
}

func (f *Filter) matchNumbers(e *event.Event) bool {
	if !among(e.Netns, f.netns) || !among(e.Reason, f.reasons) {
		return false
	}
	return len(f.marks) == 0 ||
		slices.ContainsFunc(f.marks, func(m mark) bool { return e.Mark&m.mask == m.value })
}

func (f *Filter) matchHook(e *event.Event) bool {
	if f.spec.Netfilter && !inNetfilter(e) {
		return false
	}
	if len(f.hooks) == 0 {
		return true
	}
	h, ok := HookOf(e)
	return ok && slices.Contains(f.hooks, h)
}

// inNetfilter relies on the kernel side: it sets one of the flags whenever the
// packet was freed by a function of netfilter, before it looks for the hook.
func inNetfilter(e *event.Event) bool {
	return e.Hook != event.NoHook || e.Rule.Kind != event.RuleNone ||
		e.Flags&(event.HookProbe|event.HookFrame) != 0
}

func (f *Filter) matchIfaces(e *event.Event) bool {
	for s, list := range f.ifaces {
		if len(list) > 0 && !slices.ContainsFunc(list, func(n ifaceName) bool {
			return n.on(e, side(s))
		}) {
			return false
		}
	}
	return true
}

func (n ifaceName) on(e *event.Event, s side) bool {
	if s.met(n.matches(&e.InName), n.matches(&e.OutName)) {
		return true
	}
	return (s == either || e.Hook == event.NoHook) && n.matches(&e.DevName)
}

// view is where ports and addresses can be found.
type view struct {
	src, dst     netip.Addr
	sport, dport uint16
	ports        bool
}

func (f *Filter) matchFlow(e *event.Event) bool {
	p := e.Headers()
	if len(f.protocols) > 0 && !(p.HasProtocol && slices.Contains(f.protocols, p.Protocol)) {
		return false
	}
	views := [...]view{headerView(&p.Header), headerView(&p.Inner), {}, {}}
	if e.CT.Present == event.CTEntry {
		own, other := &e.CT.Original, &e.CT.Reply
		if isReply(e.CT.CTInfo) {
			own, other = other, own
		}
		views[2], views[3] = tupleView(own), tupleView(other).mirror()
	}
	for s := range sides {
		if !f.matchPorts(views[:], s) || !f.matchHosts(views[:], s) {
			return false
		}
	}
	return true
}

// isReply is the kernel's CTINFO2DIR: from IP_CT_ESTABLISHED_REPLY on the packet
// travels in the reply's direction.
func isReply(ctinfo uint8) bool { return ctinfo >= 3 }

func (f *Filter) matchPorts(views []view, s side) bool {
	if len(f.ports[s]) == 0 {
		return true
	}
	for _, r := range f.ports[s] {
		for i := range views {
			v := &views[i]
			if v.ports && s.met(r.contains(v.sport), r.contains(v.dport)) {
				return true
			}
		}
	}
	return false
}

func (f *Filter) matchHosts(views []view, s side) bool {
	if len(f.hosts[s]) == 0 {
		return true
	}
	for _, p := range f.hosts[s] {
		for i := range views {
			if s.met(p.Contains(views[i].src), p.Contains(views[i].dst)) {
				return true
			}
		}
	}
	return false
}

func headerView(h *packet.Header) view {
	return view{h.Source, h.Destination, h.SourcePort, h.DestinationPort, h.HasPorts}
}

// tupleView reads a conntrack tuple. ICMP's id and GRE's key lie where ports
// would be.
func tupleView(t *event.CTTuple) view {
	const inet, inet6 = 2, 10 // AF_INET and AF_INET6
	var v view
	switch t.L3Num {
	case inet:
		v.src, v.dst = netip.AddrFrom4([4]byte(t.Src[:])), netip.AddrFrom4([4]byte(t.Dst[:]))
	case inet6:
		v.src, v.dst = netip.AddrFrom16(t.Src), netip.AddrFrom16(t.Dst)
	default:
		return v
	}
	v.ports = packet.Protocol(t.Proto).HasPorts()
	v.sport = binary.BigEndian.Uint16(t.SrcPort[:])
	v.dport = binary.BigEndian.Uint16(t.DstPort[:])
	return v
}

// mirror returns v as a packet of the other direction would have it.
func (v view) mirror() view {
	return view{v.dst, v.src, v.dport, v.sport, v.ports}
}
