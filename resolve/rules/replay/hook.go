package replay

import (
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// conntrackPriority is NF_IP_PRI_CONNTRACK, where a packet gets its connection in
// prerouting and output.
const conntrackPriority = -200

// At evaluates a packet at a hook: p is the packet as it enters. A nil env knows
// nothing.
func (f *Firewall) At(h Hook, p *Packet, env Environment, o Options) *Result {
	r := &run{f: f, hook: h, env: env, o: o, left: maxRules}
	s := r.start(p)
	tracked := !r.early
	natDone := false
	for _, g := range f.groups(h) {
		if s == nil || r.gaveUp() {
			break
		}
		if !tracked && g.priority >= conntrackPriority {
			tracked = g.priority > conntrackPriority
			s = r.track(s, p, tracked)
		}
		if !natDone && !g.nat && g.priority > natPriority(h.Name) {
			natDone = true
			s = r.rewrite(s)
		}
		switch {
		case g.nat:
			natDone = true
			s = r.natChains(g.chains, s)
		case len(g.chains) == 1:
			s = r.baseChain(g.chains[0], s)
		default:
			s = r.anyOrder(g.chains, s)
		}
	}
	if s != nil && !tracked {
		s = r.track(s, p, true)
	}
	if s != nil && !natDone {
		s = r.rewrite(s)
	}
	return r.result(s, p)
}

// start is the packet before the first rule.
func (r *run) start(p *Packet) *state {
	s := &state{whole: true, view: newView(p, len(r.f.fields)), mark: notKnown("mark is not known")}
	if p.MarkKnown {
		s.mark = number32(p.Mark)
	}
	if c := &s.view.packet.Conntrack; c.State == ruleset.CTNew && !c.Entry {
		*c = firstOf(s.view)
	}
	s.set = p.kept.set
	s.ct = possible(p)
	inet := r.hook.Family == "ip" || r.hook.Family == "ip6"
	r.early = inet && (r.hook.Name == "prerouting" || r.hook.Name == "output")
	if r.early {
		s.ct = r.before(p)
	}
	return s
}

// possible are the states that the packet's connection may be in.
func possible(p *Packet) uint32 {
	switch {
	case p.Conntrack.State != 0:
		return p.Conntrack.State
	case p.kept.states != 0:
		return p.kept.states
	}
	return anyState
}

// before is the state that rules before conntrack see. A packet over lo still has
// the connection that it was sent with, and an answer that the kernel makes to
// another packet (a REJECT's) has that one's.
func (r *run) before(p *Packet) uint32 {
	if r.hook.Name == "output" {
		if p.Conntrack.State&^(ruleset.CTRelated) == 0 {
			return ruleset.CTInvalid | ruleset.CTRelated
		}
		return ruleset.CTInvalid
	}
	if !p.In.Known || p.In.Name == "lo" || p.In.Name == "" {
		return ruleset.CTInvalid | possible(p)
	}
	return ruleset.CTInvalid
}

// track is conntrack's own hook: the packet gets its state, unless a rule said
// notrack. With sure false it may or may not have run yet.
func (r *run) track(s *state, p *Packet, sure bool) *state {
	out := s.copy()
	untracked := s.ct & ruleset.CTUntracked
	if s.ct != ruleset.CTUntracked {
		out.ct = untracked | possible(p)
	}
	if !sure {
		out.ct |= s.ct
		return out
	}
	r.early = false
	return out
}

// baseChain evaluates a base chain and gives what it lets pass.
func (r *run) baseChain(c *chain, s *state) *state {
	r.base, r.accepted = c, nil
	outcomes := len(r.outcomes)
	whole := s.whole
	if fall := r.chain(c, s); fall != nil {
		if c.src.Policy == "drop" {
			r.end(c, nil, Dropped, fall.whole)
		} else {
			r.accept(fall)
		}
	}
	out := r.accepted
	if out != nil && len(r.outcomes) == outcomes && out.whole != whole {
		out = out.copy()
		out.whole = whole
	}
	return out
}

// natChains evaluates nat chains, which only the first packet of a connection
// meets, until one gave a translation.
func (r *run) natChains(chains []*chain, s *state) *state {
	meets := r.meetsNAT(s)
	if meets == No {
		return r.rewrite(s)
	}
	var done *state
	if meets == Unknown {
		done = r.rewrite(s.copy())
	}
	for _, c := range chains {
		s = r.baseChain(c, s)
		if s == nil {
			return done
		}
		if s.nat != No {
			// Where it may have been bound, the chains behind are met or not.
			done = merge(done, s)
			if s.nat == Yes {
				return done
			}
		}
	}
	return merge(done, s)
}

func (r *run) meetsNAT(s *state) Truth {
	c := &s.view.packet.Conntrack
	used := r.inUse()
	switch {
	case used == No, s.ct&(ruleset.CTNew|ruleset.CTRelated) == 0:
		return No
	case c.Entry && c.Status&netfilter.StatusConfirmed != 0:
		return No
	case s.ct == ruleset.CTNew && used == Yes:
		return Yes
	}
	return Unknown
}

// anyOrder evaluates base chains of equal priority, whose order is not known.
func (r *run) anyOrder(chains []*chain, s *state) *state {
	for _, c := range chains {
		if c.changes {
			return r.orders(chains, nil, s)
		}
	}
	// None changes the packet: each sees it as if it ran first.
	out := s.copy()
	outcomes, passes := len(r.outcomes), true
	for _, c := range chains {
		if after := r.baseChain(c, s); after == nil {
			passes = false
		} else {
			out.ct &= after.ct
		}
	}
	if !passes || out.ct == 0 {
		return nil
	}
	out.whole = s.whole && len(r.outcomes) == outcomes
	return out
}

// maxOrders are the chains of one priority whose orders are all tried.
const maxOrders = 4

func (r *run) orders(left, before []*chain, s *state) *state {
	if len(left)+len(before) > maxOrders {
		r.fallback = "too many base chains of one priority"
		return s
	}
	if len(left) == 0 {
		for _, c := range before {
			if s != nil {
				s = r.baseChain(c, s)
			}
		}
		return s
	}
	var out *state
	for i, c := range left {
		rest := append(append([]*chain(nil), left[:i]...), left[i+1:]...)
		order := append(before[:len(before):len(before)], c)
		out = merge(out, r.orders(rest, order, s))
	}
	return out
}

// result sums up.
func (r *run) result(s *state, p *Packet) *Result {
	out := &Result{Steps: r.steps, After: *p, Capped: r.gaveUp()}
	for _, o := range r.outcomes {
		if o.verdict != Taken {
			out.Candidates = append(out.Candidates, o.place)
		}
	}
	if s != nil {
		r.after(&out.After, s)
	}
	out.Verdict, out.Last = r.verdict(s)
	if out.Verdict == CannotKnow || out.Last.Chain == nil && out.Verdict != Accepted {
		out.Doubts = r.doubts
	}
	if r.gaveUp() {
		out.Doubts = append(out.Doubts, Step{Truth: Unknown, Why: r.fallback})
	}
	return out
}

func (r *run) verdict(s *state) (Verdict, Place) {
	if r.gaveUp() {
		return CannotKnow, Place{}
	}
	for _, o := range r.outcomes {
		if o.verdict == Queued && o.whole {
			return Queued, o.place
		}
	}
	switch {
	case len(r.outcomes) == 0:
		return Accepted, Place{}
	case s != nil:
		return CannotKnow, Place{}
	case len(r.outcomes) == 1:
		return r.outcomes[0].verdict, r.outcomes[0].place
	}
	verdict := r.outcomes[0].verdict
	for _, o := range r.outcomes {
		if o.verdict != Dropped && o.verdict != Rejected {
			return CannotKnow, Place{}
		}
		if o.verdict != verdict {
			verdict = Dropped
		}
	}
	return verdict, Place{}
}

// after is the packet as the rules left it.
func (r *run) after(p *Packet, s *state) {
	*p = s.view.packet
	p.Mark, p.MarkKnown = uint32(s.mark.number), s.mark.presence == Present
	p.kept = carried{unknown: s.view.unknown, set: s.set}
	if s.ct != 0 && s.ct&(s.ct-1) == 0 {
		p.Conntrack.State = s.ct
	} else {
		p.Conntrack.State, p.kept.states = 0, s.ct
	}
}
