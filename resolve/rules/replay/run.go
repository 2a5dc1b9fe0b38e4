package replay

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// run is the evaluation of one packet at one hook. Every rule is looked at once
// for each way of jumps that leads to it: where a match cannot be told, both
// ways are followed and come together again behind the rule.
type run struct {
	f    *Firewall
	hook Hook
	env  Environment
	o    Options

	base  *chain
	depth int
	// early: conntrack has not seen the packet yet.
	early bool
	// left is how many rules may still be looked at.
	left int
	// ends counts the ways that left a rule other than to the next one.
	ends int
	// accepted is what the base chain at work lets pass.
	accepted *state
	outcomes []outcome
	ended    map[outcome]bool // those of outcomes, none of them whole
	doubts   []Step
	steps    []Step
	fallback string // why it was given up
}

// outcome is a place that may have ended the packet's way.
type outcome struct {
	place   Place
	verdict Verdict
	whole   bool // the packet comes here for certain
}

// maxRules bounds the work: the kernel has no such bound, but no packet that it
// forwards in time needs as many.
const maxRules = 1 << 20

// maxDepth is NFT_JUMP_STACK_SIZE. Legacy tables have no loops either and are
// bounded by maxRules.
const maxDepth = 16

func (r *run) gaveUp() bool { return r.fallback != "" }

func (r *run) end(c *chain, src *ruleset.Rule, v Verdict, whole bool) {
	r.ends++
	o := outcome{Place{Chain: c.src, Rule: src, Base: r.base.src}, v, whole}
	key := outcome{o.place, v, false}
	if r.ended[key] {
		return
	}
	if r.ended == nil {
		r.ended = make(map[outcome]bool)
	}
	r.ended[key] = true
	r.outcomes = append(r.outcomes, o)
}

func (r *run) accept(s *state) {
	r.ends++
	r.accepted = merge(r.accepted, s)
}

// chain evaluates a chain and gives the state of packets that go on behind the
// jump to it: they fell off its end or returned. Nil: none does.
func (r *run) chain(c *chain, s *state) *state {
	if r.depth > 4*maxDepth {
		r.fallback = "chains are nested too deep"
		return nil
	}
	var returned *state
	for i := range c.rules {
		if s == nil || r.gaveUp() {
			break
		}
		var back *state
		s, back = r.rule(c, &c.rules[i], s)
		returned = merge(returned, back)
	}
	if returned == nil {
		return s
	}
	whole := s != nil && s.whole || returned.whole
	out := merge(returned, s)
	out.whole = whole
	return out
}

// rule evaluates a rule: next goes on with the next rule, back returns from the
// chain.
func (r *run) rule(c *chain, x *rule, s *state) (next, back *state) {
	if r.left--; r.left < 0 {
		r.fallback = "more ways through the rules than are followed"
		return nil, nil
	}
	for i := range x.matches {
		m := &x.matches[i]
		t, known := m.quick(s)
		if !known {
			v := r.eval(s, m)
			if t = v.truth; v.drops != No {
				t = Unknown
			}
		}
		switch t {
		case Yes:
			continue
		case Unknown:
			return r.slow(c, x, s, i)
		}
		if r.o.Steps {
			r.step(c, x, s, No, m.src, "")
		}
		return s, nil
	}
	if len(x.rest) == 0 && x.read {
		if r.o.Steps {
			r.step(c, x, s, Yes, nil, "")
		}
		return s, nil
	}
	return r.slow(c, x, s, len(x.matches))
}

// slow evaluates a rule from its match at index from on: there it cannot be
// told, or all before hold and the rest has a say.
func (r *run) slow(c *chain, x *rule, s *state, from int) (next, back *state) {
	w := walk{run: r, c: c, x: x, now: s, truth: Yes}
	whole, ends := s.whole, r.ends
	for i := from; i < len(x.matches) && w.now != nil; i++ {
		w.match(&x.matches[i])
	}
	at := len(r.steps)
	if r.o.Steps {
		r.steps = append(r.steps, Step{})
	}
	for i := 0; i < len(x.rest) && w.now != nil; i++ {
		w.step(&x.rest[i])
	}
	if !x.read && w.now != nil {
		w.unread()
	}
	if r.o.Steps {
		r.steps[at] = w.told(s)
	}
	if w.truth == Unknown {
		r.doubts = append(r.doubts, w.told(s))
	}
	next = merge(w.now, w.failed)
	if next != nil && r.ends == ends && !next.whole {
		next = next.copy()
		next.whole = whole
	}
	return next, w.back
}

func (r *run) step(c *chain, x *rule, s *state, t Truth, at ruleset.Statement, why string) {
	r.steps = append(r.steps, Step{
		Place: Place{Chain: c.src, Rule: x.src, Base: r.base.src}, Depth: r.depth,
		Reached: reached(s), Truth: t, At: at, Why: why,
	})
}

func reached(s *state) Truth {
	if s.whole {
		return Yes
	}
	return Unknown
}
