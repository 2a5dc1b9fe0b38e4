package resolve

import (
	"context"
	"net/netip"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/model"
	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/resolve/xtables"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/packet"
)

const (
	// whyLives is how long a diagnosis is taken for true: sockets, routes and
	// sysctls change without a word.
	whyLives = 10 * time.Second
	// maxWhys bounds the diagnoses that one namespace keeps.
	maxWhys = 4096
	// whyShare is the part of the time, one in so many, that diagnoses may take,
	// and whyBurst what they may take at once: a flood of drops that all differ
	// must not lose drops to their explanation.
	whyShare = 8
	whyBurst = 500 * time.Millisecond
)

// whyKey is all of a drop that a diagnosis can depend on.
type whyKey struct {
	generation       uint32
	rule             *ruleset.Rule
	base             *ruleset.Chain
	cause, verdict   string
	hook             string
	reason, function string
	location         uint64
	in, out          uint32
	protocol         packet.Protocol
	flags            packet.TCPFlags
	icmp             [2]uint8
	source           netip.Addr
	destination      netip.Addr
	sport, dport     uint16
	fragment         bool
	mark, ctMark     uint32
	status           uint32
	state, dir       string
	original         event.CTTuple
	failure          conntrack.Cause
	complaint        string
}

type diagnosed struct {
	whys []Why
	at   time.Time
}

// whys are a namespace's diagnoses and what they have cost.
type whys struct {
	known map[whyKey]diagnosed
	spent time.Duration
	last  time.Time
}

// affords reports whether another diagnosis may be made now.
func (w *whys) affords(now time.Time) bool {
	if passed := now.Sub(w.last); passed > 0 {
		w.spent = max(w.spent-passed/whyShare, 0)
		w.last = now
	}
	return w.spent < whyBurst
}

func (w *whys) add(k whyKey, list []Why, at time.Time, cost time.Duration) {
	w.spent += cost
	if w.known == nil || len(w.known) >= maxWhys {
		w.known = make(map[whyKey]diagnosed)
	}
	w.known[k] = diagnosed{list, at}
}

// why finds the causes of a drop. Drops whose rule is not certain get none: what
// mends the wrong rule mends nothing.
func (r *Resolver) why(ctx context.Context, n *namespace, e *event.Event, d *Drop) []Why {
	if d.Attribution.Certainty != Certain || d.Packet.Inner != nil && d.Packet.Protocol != "icmp" && d.Packet.Protocol != "icmpv6" {
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
	r.place(ctx, n, c)
	list := diagnose.Diagnose(c)
	end := r.now()
	w.add(key, list, end, end.Sub(now))
	return list
}

func (r *Resolver) whyKey(n *namespace, e *event.Event, d *Drop) whyKey {
	var p packet.Packet
	packet.Parse(packet.EtherType(e.Protocol), e.Packet(), &p)
	k := whyKey{
		rule: r.at.Rule, base: r.at.Base, cause: d.Cause, verdict: d.Verdict, hook: d.Hook,
		reason: d.Reason, function: d.Function, location: e.Location,
		protocol: p.Protocol, source: p.Source, destination: p.Destination, dport: p.DestinationPort,
		fragment: p.HasFragment, mark: e.Mark, flags: p.TCP.Flags, icmp: [2]uint8{p.ICMP.Type, p.ICMP.Code},
		in: e.InIndex, out: e.OutIndex, ctMark: e.CT.Mark, status: e.CT.Status, original: e.CT.Original,
	}
	if n.nft != nil {
		k.generation = n.nft.Ruleset().Generation
	}
	if e.Hook == event.NoHook {
		k.in = e.DevIndex
	}
	if d.Conntrack != nil {
		k.state, k.dir = d.Conntrack.State, d.Conntrack.Dir
		if f := d.Conntrack.Failure; f != nil {
			k.failure, k.complaint = f.Cause, f.Reason
		}
	}
	// A client's port is another one each time, and rules seldom ask for it:
	// those that do ask for one below 1024.
	k.original.SrcPort = [2]byte{}
	if p.SourcePort < 1024 {
		k.sport = p.SourcePort
	}
	return k
}

// place gives the case the namespace's rules and its rule among them.
func (r *Resolver) place(ctx context.Context, n *namespace, c *diagnose.Case) {
	if r.at.Base == nil {
		return
	}
	m := n.readModel(ctx, r.now(), r.Watcher)
	if m == nil {
		return
	}
	at := replay.Place{Chain: m.Chain(r.at.Chain), Rule: m.Rule(r.at.Rule), Base: m.Chain(r.at.Base)}
	if at.Chain == nil || r.at.Rule != nil && at.Rule == nil {
		return // the ruleset is another one by now
	}
	c.Place, c.Rulesets = at, m.Rulesets
	c.Text = func(rule *ruleset.Rule) string { return m.Text(ctx, rule) }
}

// modelLimit bounds the reading of a model: drops wait for it.
const modelLimit = 2 * time.Second

// readModel returns what the namespace's rules do, read when they have changed.
// Like readNFT it gets no more than a fifth of the time.
func (n *namespace) readModel(ctx context.Context, now time.Time, watch Watcher) *model.Model {
	if n.model != nil && n.model.Snapshot() == n.nft && n.modelXT.Equal(n.xtRead) {
		return n.model
	}
	if n.handle == nil || now.Sub(n.modelRead) < 4*n.modelCost {
		return nil
	}
	if n.nft == nil {
		n.readNFT(ctx, now)
	}
	if ids, err := xtables.Tables(n.handle); err == nil && len(ids) != len(n.xt) {
		_ = n.readXT(now, watch)
	}
	var blobs []*xtables.Blob
	for _, t := range n.xt {
		blobs = append(blobs, t.Blob)
	}
	ctx, cancel := context.WithTimeout(ctx, modelLimit)
	defer cancel()
	m, err := model.Read(ctx, n.handle, n.nft, blobs)
	n.modelRead = time.Now()
	n.modelCost = n.modelRead.Sub(now)
	if err != nil {
		return nil
	}
	n.model, n.modelXT = m, n.xtRead
	return m
}
