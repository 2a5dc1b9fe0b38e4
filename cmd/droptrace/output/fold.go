package output

import (
	"net/netip"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Pressure says how much a stream can take right now.
type Pressure int

const (
	Calm   Pressure = iota // show each drop
	Strain                 // show what is new, fold what repeats
	Full                   // fold all
)

// Folder folds equal drops into exact counts while there are more than can be
// shown: every drop it was given is either passed by Add or counted once in
// what Take returns. Where flows are too many to be told apart it counts by
// rule, and where rules are, as one number, so that its memory is bounded and
// the sum stays right. Of drops it keeps copies.
//
// What is held back is due Window after it came, and until it is taken nothing
// newer passes: output is never out of order by more than Window.
type Folder struct {
	Window time.Duration
	Keys   int // flows, and again rules, to be told apart

	begin time.Time // of the window; zero where none runs
	held  uint64    // drops not yet taken
	flows map[flowKey]*Folded
	rules map[ruleKey]*Folded
	rest  *Folded
	order []*Folded
}

// ruleKey is what dropped a packet, and where.
type ruleKey struct {
	netns                    uint32
	hook, verdict, cause     string
	reason, location         string
	engine, family           string
	table, chain, policy     string
	handle                   uint64
	number                   int
	certainty                drop.Certainty
	function, text, attested string
}

// flowKey is a ruleKey with the packet's endpoints.
type flowKey struct {
	ruleKey
	in, out                uint32
	family, protocol       string
	source, destination    netip.Addr
	sport, dport           uint16
	icmpType, icmpCode     uint8
	icmpID                 uint16
	fragment               bool
	innerSource, innerDest netip.Addr
}

// ruleKeyOf leaves reason and location out where there is a rule: the same rule
// can free a packet at two places, and is still one rule.
func ruleKeyOf(d *drop.Drop) ruleKey {
	k := ruleKey{
		netns: d.Netns.Inode, hook: d.Hook, verdict: d.Verdict, cause: d.Cause,
		function: d.Function, certainty: d.Attribution.Certainty,
	}
	if r := d.Rule; r != nil {
		k.engine, k.family, k.table, k.chain, k.policy = r.Engine, r.Family, r.Table, r.Chain, r.Policy
		k.handle, k.number, k.text = r.Handle, r.Number, r.Text
		return k
	}
	// With no rule the place in the kernel is all there is.
	k.reason, k.location = d.Reason, d.Location
	if k.certainty != drop.Certain {
		k.attested = d.Attribution.Note
	}
	return k
}

// flowKeyOf takes for endpoints what each protocol has: ports, or ICMP's type,
// code and id, or the header that an error quotes.
func flowKeyOf(d *drop.Drop) flowKey {
	p := &d.Packet
	k := flowKey{
		ruleKey: ruleKeyOf(d), family: p.Family, protocol: p.Protocol,
		source: p.Source, destination: p.Destination,
		sport: value(p.SourcePort), dport: value(p.DestinationPort),
		icmpType: value(p.ICMPType), icmpCode: value(p.ICMPCode), icmpID: value(p.ICMPID),
		fragment: p.Fragment != nil && p.Fragment.Offset > 0,
	}
	if d.In != nil {
		k.in = d.In.Index
	}
	if d.Out != nil {
		k.out = d.Out.Index
	}
	if p.Inner != nil {
		k.innerSource, k.innerDest = p.Inner.Source, p.Inner.Destination
	}
	return k
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// Add reports whether d is to be shown now. Otherwise it is held back.
func (f *Folder) Add(d *drop.Drop, now time.Time, p Pressure) bool {
	if f.Due(now) {
		if f.held > 0 {
			p = Full
		} else {
			f.reset()
		}
	}
	if p == Calm {
		return true
	}
	if f.begin.IsZero() {
		f.begin = now
	}
	e, known := f.entry(d)
	if e == nil { // too many flows to remember this one as shown
		if p != Full {
			return true
		}
		e = f.coarse(d)
	}
	if !known && p != Full && e.Scope == ScopeFlow {
		e.Shown = true
		return true
	}
	f.hold(e, d)
	return false
}

// Due reports whether the window is over.
func (f *Folder) Due(now time.Time) bool {
	return !f.begin.IsZero() && now.Sub(f.begin) >= f.Window
}

// Deadline returns when held drops are due.
func (f *Folder) Deadline() (t time.Time, ok bool) {
	return f.begin.Add(f.Window), f.held > 0
}

// Held returns how many drops are held back.
func (f *Folder) Held() uint64 { return f.held }

// Take appends what is held back to dst, in the order in which it came, and
// begins anew.
func (f *Folder) Take(dst []Folded) []Folded {
	for _, e := range f.order {
		if e.Count > 0 {
			dst = append(dst, *e)
		}
	}
	f.reset()
	return dst
}

// reset keeps the maps, which grow to their bound once.
func (f *Folder) reset() {
	f.begin, f.held, f.rest = time.Time{}, 0, nil
	clear(f.flows)
	clear(f.rules)
	clear(f.order)
	f.order = f.order[:0]
}

// entry returns the entry of d's flow, a new one where there is room.
func (f *Folder) entry(d *drop.Drop) (e *Folded, known bool) {
	k := flowKeyOf(d)
	if e := f.flows[k]; e != nil {
		return e, true
	}
	if len(f.flows) >= f.Keys {
		return nil, false
	}
	if f.flows == nil {
		f.flows = make(map[flowKey]*Folded)
	}
	e = &Folded{Scope: ScopeFlow}
	f.flows[k] = e
	return e, false
}

// coarse returns the entry of d's rule, or that of all the rest.
func (f *Folder) coarse(d *drop.Drop) *Folded {
	k := ruleKeyOf(d)
	if e := f.rules[k]; e != nil {
		return e
	}
	if len(f.rules) >= f.Keys {
		if f.rest == nil {
			f.rest = &Folded{Scope: ScopeAll}
		}
		return f.rest
	}
	if f.rules == nil {
		f.rules = make(map[ruleKey]*Folded)
	}
	e := &Folded{Scope: ScopeRule}
	f.rules[k] = e
	return e
}

// hold counts d, and keeps the first of its kind to show.
func (f *Folder) hold(e *Folded, d *drop.Drop) {
	if e.Count == 0 {
		first := *d
		e.Drop = &first
		f.order = append(f.order, e)
	}
	n := 1 + d.Repeats
	e.Count += n
	e.Last = d.Time
	f.held += n
}
