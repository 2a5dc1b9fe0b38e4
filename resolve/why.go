package resolve

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/packet"
)

const (
	// whyLives is how long a diagnosis is taken for true: sockets, routes and
	// sysctls change without a word.
	whyLives = 10 * time.Second
	// maxWhys bounds the diagnoses that one namespace keeps.
	maxWhys = 4096
)

// whyKey is all of a drop that a diagnosis can depend on.
type whyKey struct {
	generation     uint32
	rule           *ruleset.Rule
	base           *ruleset.Chain
	cause, verdict string
	pf, hook       uint8
	ctInfo         uint8 // with state it tells the direction
	reason         uint32
	function       string
	location       uint64
	in, out        uint32
	protocol       packet.Protocol
	flags          packet.TCPFlags
	icmp           [2]uint8
	source         netip.Addr
	destination    netip.Addr
	sport, dport   uint16
	fragment       bool
	handshake      event.Flag // Overflow, Deferred
	mark, ctMark   uint32
	uid, gid       int // owner
	status         uint32
	state          string
	original       event.CTTuple
	failure        drop.FailureCause
	complaint      string
	// packet is all of its bytes where rules look at more of it than the above.
	packet string
}

type diagnosed struct {
	whys []drop.Why
	at   time.Time
}

// whys are a namespace's diagnoses and what they have cost.
type whys struct {
	share
	known map[whyKey]diagnosed

	firewall     *replay.Firewall // that the next two are of
	ports, bytes bool
}

// ask finds out what the rules look at beyond what every whyKey has: source ports,
// and any other bytes of the packet. Rules that are not known may look at all.
func (w *whys) ask(f *replay.Firewall) (ports, bytes bool) {
	if f == nil {
		return true, true
	}
	if w.firewall != f {
		fields := f.Fields()
		w.firewall = f
		w.ports = slices.Contains(fields, ruleset.SourcePort)
		w.bytes = slices.ContainsFunc(fields, func(f ruleset.Field) bool { return !inKey(f) })
	}
	return w.ports, w.bytes
}

func inKey(f ruleset.Field) bool {
	switch f {
	case ruleset.EtherType, ruleset.NFProto, ruleset.L4Protocol, ruleset.IPProtocol, ruleset.IP6NextHeader,
		ruleset.IPSource, ruleset.IPDestination, ruleset.IP6Source, ruleset.IP6Destination,
		ruleset.SourcePort, ruleset.DestinationPort,
		ruleset.TCPFlags, ruleset.ICMPType, ruleset.ICMPCode,
		ruleset.Mark, ruleset.InName, ruleset.OutName, ruleset.InIndex, ruleset.OutIndex,
		ruleset.CTState, ruleset.CTDirection, ruleset.CTStatus, ruleset.CTMark:
		return true
	}
	_, _, routes := f.IsFIB() // by addresses, mark and interfaces
	return routes
}

func (w *whys) add(k whyKey, list []drop.Why, at time.Time, cost time.Duration) {
	w.spent += cost
	if w.known == nil || len(w.known) >= maxWhys {
		w.known = make(map[whyKey]diagnosed)
	}
	w.known[k] = diagnosed{list, at}
}

// why finds the causes of a drop. Drops whose rule is not certain get none: what
// mends the wrong rule mends nothing. That an NFQUEUE failed is certain without it.
func (r *Resolver) why(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) []drop.Why {
	if d.Attribution.Certainty != drop.Certain && d.Verdict != queueFailed || d.Packet.Inner != nil && d.Packet.Protocol != "icmp" && d.Packet.Protocol != "icmpv6" {
		return nil
	}
	key := r.whyKey(n, e, d)
	now := r.now()
	w := &n.whys
	if k, ok := w.known[key]; ok && now.Sub(k.at) < whyLives {
		return k.whys
	}
	if !w.affords(now) {
		return nil
	}
	c := r.caseOf(n, e, d)
	if !r.place(ctx, n, c) {
		return nil // not yet: a later drop is told
	}
	begin := r.now() // reading the model has a limit of its own
	n.ct.missed = false
	list := diagnose.Diagnose(c)
	end := r.now()
	if r.pending || n.ct.missed { // something that it asks for is being read, or was too much just now
		w.spent += end.Sub(begin)
		return list
	}
	w.add(key, list, end, end.Sub(begin))
	return list
}

// joinWhys appends causes that conntrack itself told, but none twice: what a
// diagnosis says of the same names the rule, too.
func joinWhys(diagnosed, told []drop.Why) []drop.Why {
	for _, w := range told {
		if !slices.ContainsFunc(diagnosed, func(o drop.Why) bool { return o.Code == w.Code }) {
			diagnosed = append(diagnosed[:len(diagnosed):len(diagnosed)], w)
		}
	}
	return diagnosed
}

func (r *Resolver) whyKey(n *namespace, e *event.Event, d *drop.Drop) whyKey {
	p := e.Headers()
	k := whyKey{
		rule: r.at.Rule, base: r.at.Base, cause: d.Cause, verdict: d.Verdict, pf: e.PF, hook: e.Hook,
		reason: e.Reason, function: d.Function, location: e.Location, ctInfo: e.CT.CTInfo,
		protocol: p.Protocol, source: p.Source, destination: p.Destination, dport: p.DestinationPort,
		fragment: p.HasFragment, mark: e.Mark, flags: p.TCP.Flags, icmp: [2]uint8{p.ICMP.Type, p.ICMP.Code},
		handshake: e.Flags & (event.Overflow | event.Deferred),
		in:        e.InIndex, out: e.OutIndex, ctMark: e.CT.Mark, status: e.CT.Status, original: e.CT.Original,
	}
	k.uid, k.gid = owner(&e.Socket)
	if n.nft != nil {
		k.generation = n.nft.Ruleset().Generation
	}
	if e.Hook == event.NoHook {
		k.in = e.DevIndex
	}
	if d.Conntrack != nil {
		k.state = d.Conntrack.State
		if f := d.Conntrack.Failure; f != nil {
			k.failure, k.complaint = f.Cause, f.Reason
		}
	}
	// A client's port is another one each time. Below 1024 the words of a cause may
	// ask for it: that of a service.
	ports, bytes := false, false
	if r.at.Base != nil {
		var f *replay.Firewall
		if n.model != nil {
			f = n.model.Firewall()
		}
		ports, bytes = n.whys.ask(f)
	}
	// Another connection has another entry.
	if ports || bytes || p.SourcePort < 1024 || e.CT.Status&netfilter.StatusConfirmed != 0 || asksTable(d) {
		k.sport = p.SourcePort
	} else {
		k.original.SrcPort = [2]byte{}
	}
	if bytes {
		k.packet = string(e.Packet())
	}
	return k
}

// asksTable reports whether conntrack's table is asked for the packet's own entry.
func asksTable(d *drop.Drop) bool {
	return d.Cause == "kernel" && d.Reason == "NO_SOCKET" || d.Conntrack != nil && d.Conntrack.State == "invalid"
}

// place gives the case the namespace's rules and its rule among them. It is false
// where the rules are not read yet.
func (r *Resolver) place(ctx context.Context, n *namespace, c *diagnose.Case) bool {
	if r.at.Base == nil {
		return !c.AsksNAT() || r.rulesOf(ctx, n, c)
	}
	m := r.readModel(n, modelWait)
	if m == nil {
		return false
	}
	at := replay.Place{Chain: m.Chain(r.at.Chain), Rule: m.Rule(r.at.Rule), Base: m.Chain(r.at.Base)}
	if at.Chain == nil || r.at.Rule != nil && at.Rule == nil {
		return true // the ruleset is another one by now
	}
	c.Place, c.Rulesets, c.Firewall = at, m.Rulesets, m.Firewall()
	c.Text = func(rule *ruleset.Rule) string { return r.modelText(n, m, rule) }
	return true
}

// rulesOf gives the case of a drop that no rule made the namespace's rules as they are
// now. It is false where they are not read yet.
func (r *Resolver) rulesOf(ctx context.Context, n *namespace, c *diagnose.Case) bool {
	if n.handle == nil {
		return true
	}
	// No drop of theirs shows that legacy tables were replaced.
	if ids, err := xtables.Tables(n.handle); err == nil && !r.watched(n.info.Inode, ids) {
		_ = r.readXT(n)
	}
	if !r.current(ctx, n) {
		return !r.pending
	}
	m := r.readModel(n, modelWait)
	if m == nil {
		return !r.pending
	}
	c.Rulesets = m.Rulesets
	c.Text = func(rule *ruleset.Rule) string { return r.modelText(n, m, rule) }
	return true
}
