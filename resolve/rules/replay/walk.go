package replay

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// walk is the way through one rule's statements.
type walk struct {
	*run
	c *chain
	x *rule
	// now are the packets for which everything held so far, failed those for
	// which something may not have, back those that return from the chain.
	now, failed, back *state
	truth             Truth
	at                ruleset.Statement
	why               string
}

func (w *walk) told(s *state) Step {
	return Step{
		Place: Place{Chain: w.c.src, Rule: w.x.src, Base: w.base.src}, Depth: w.depth,
		Reached: reached(s), Truth: w.truth, At: w.at, Why: w.why,
	}
}

func (w *walk) doubt(at ruleset.Statement, why string) {
	if w.truth == Unknown {
		return // the first says enough
	}
	w.truth, w.at, w.why = Unknown, at, why
}

// fail ends the walk at a statement that does not hold.
func (w *walk) fail(at ruleset.Statement) {
	w.failed = merge(w.failed, w.now)
	w.now = nil
	w.truth, w.at, w.why = No, at, "" // whatever stands before it
}

func (w *walk) match(m *match) {
	v := w.eval(w.now, m)
	switch {
	case v.drops == Yes:
		w.at = m.src
		w.last(Dropped)
		return
	case v.drops == Unknown:
		w.doubt(m.src, v.why)
		w.end(w.c, w.x.src, Dropped, false)
		w.now = w.now.copy()
		w.now.whole = false
	}
	switch {
	case v.truth == No && v.drops == Unknown:
		w.failed, w.now = merge(w.failed, w.now), nil
	case v.truth == No:
		w.fail(m.src)
	case v.truth == Unknown:
		w.doubt(m.src, v.why)
		held, failed := w.split(w.now, m)
		w.failed, w.now = merge(w.failed, failed), held
	}
}

func (w *walk) step(p *step) {
	switch s := p.src.(type) {
	case *ruleset.Match, *ruleset.Header, *ruleset.Any:
		w.match(p.match)
	case *ruleset.VerdictMap:
		w.verdictMap(p, s)
	case *ruleset.Verdict:
		w.verdict(s, p.target)
	case *ruleset.Assign:
		w.own()
		w.assign(w.now, s)
	case *ruleset.NAT:
		w.own()
		w.translate(w.now, s)
		w.at = s
		w.accept(w.now)
		w.now = nil
	case *ruleset.NoTrack:
		if !w.early {
			return // conntrack has the packet already
		}
		w.own()
		w.now.ct = ruleset.CTUntracked
	case *ruleset.Opaque:
		w.opaque(s)
	}
}

// own makes the state the walk's own, before it changes it.
func (w *walk) own() { w.now = w.now.copy() }

func (w *walk) verdictMap(p *step, s *ruleset.VerdictMap) {
	v := w.eval(w.now, p.match)
	switch {
	case v.truth == No:
		w.fail(s)
	case v.truth == Yes && v.element.Verdict != nil:
		w.verdict(v.element.Verdict, p.targets[v.element.Verdict.Target])
	default:
		w.doubt(s, v.why)
		w.anyElement(p, s)
	}
}

// anyElement follows every verdict that the map has, and none.
func (w *walk) anyElement(p *step, s *ruleset.VerdictMap) {
	start := w.now.copy()
	start.whole = false
	w.failed = merge(w.failed, start)
	type key struct {
		kind   ruleset.VerdictKind
		target *ruleset.Chain
		bypass bool
	}
	seen := make(map[key]bool)
	var onward *state // those of Continue, which goes on with the next statement
	for i := range s.Set.Elements {
		e := s.Set.Elements[i].Verdict
		if e == nil || seen[key{e.Kind, e.Target, e.Bypass}] {
			continue
		}
		seen[key{e.Kind, e.Target, e.Bypass}] = true
		w.now = start.copy()
		w.verdict(e, p.targets[e.Target])
		onward, w.now = merge(onward, w.now), nil
	}
	w.now = onward
}

func (w *walk) verdict(s *ruleset.Verdict, target *chain) {
	if w.truth == Yes && s.Kind != ruleset.Continue {
		w.at = s
	}
	switch s.Kind {
	case ruleset.Accept:
		w.accept(w.now)
		w.now = nil
	case ruleset.Drop:
		w.last(Dropped)
	case ruleset.Reject:
		w.last(Rejected)
	case ruleset.Queue:
		// The program behind it may let the packet go on to the next base chain.
		queued := w.now.copy()
		w.last(Queued)
		queued.whole = false
		w.accept(queued)
	case ruleset.Stolen:
		w.last(Taken)
	case ruleset.Return:
		w.ends++
		w.back, w.now = merge(w.back, w.now), nil
	case ruleset.Jump:
		// What comes back goes on with the next rule, not with the next statement.
		w.failed, w.now = merge(w.failed, w.enter(target)), nil
	case ruleset.Goto:
		w.ends++
		w.back, w.now = merge(w.back, w.enter(target)), nil
	}
}

func (w *walk) last(v Verdict) {
	w.end(w.c, w.x.src, v, w.now.whole)
	w.now = nil
}

func (w *walk) enter(target *chain) *state {
	if target == nil {
		w.doubt(w.at, "chain of the jump is not known")
		w.end(w.c, w.x.src, Dropped, false)
		w.accept(w.now)
		return w.now
	}
	w.depth++
	defer func() { w.depth-- }()
	return w.run.chain(target, w.now)
}

func (w *walk) opaque(s *ruleset.Opaque) {
	if !s.MayFail && !s.MayDrop && !s.MayAccept && s.Understood {
		return
	}
	w.doubt(s, s.Kind)
	w.now = w.now.copy()
	w.now.whole = false
	if s.MayFail {
		w.failed = merge(w.failed, w.now.copy())
	}
	if s.MayDrop {
		w.end(w.c, w.x.src, Dropped, false)
	}
	if s.MayAccept {
		w.accept(w.now.copy())
	}
	if !s.Understood {
		w.anything(w.now)
	}
}

// unread is a rule whose statements are not known.
func (w *walk) unread() {
	w.doubt(nil, "rule was not understood")
	w.failed = merge(w.failed, w.now.copy())
	if w.x.src.CanDrop {
		w.end(w.c, w.x.src, Dropped, false)
	}
	w.accept(w.now.copy())
	w.back = merge(w.back, w.now.copy())
	w.anything(w.now)
}
