package audit

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// changes says which rules of a chain may change what later rules look at: a
// mark, a header, a set. Each list holds indexes of rules, ascending.
type changes struct {
	byField   map[ruleset.Field][]int
	payload   []int // any header
	conntrack []int
	some      []int // anything at all
	all       []int // something that is not understood: perhaps everything
	sets      []int // perhaps elements of sets
}

// between reports whether the fields may have another value at rule j than rule
// i found: i and j themselves are counted, since a rule may change what it then
// looks at.
func (c *changes) between(i, j int, fields []ruleset.Field, sets bool) bool {
	if within(c.all, i, j) || sets && within(c.sets, i, j) {
		return true
	}
	for _, f := range fields {
		if within(c.byField[f], i, j) {
			return true
		}
		_, _, _, payload := f.IsPayload()
		_, _, _, _, extension := f.IsExtension()
		_, _, fib := f.IsFIB()
		if (payload || extension || f == ruleset.Length) && within(c.payload, i, j) ||
			f.IsConntrack() && within(c.conntrack, i, j) || fib && within(c.some, i, j) {
			return true
		}
	}
	return false
}

func within(list []int, i, j int) bool {
	at, _ := slices.BinarySearch(list, i)
	return at < len(list) && list[at] <= j
}

// effect is what one rule, or all rules of a chain, may change.
type effect struct {
	fields          map[ruleset.Field]bool
	payload         bool
	conntrack       bool
	unknown, inSets bool
}

func (e *effect) join(o *effect) {
	for f := range o.fields {
		e.field(f)
	}
	e.payload = e.payload || o.payload
	e.conntrack = e.conntrack || o.conntrack
	e.unknown = e.unknown || o.unknown
	e.inSets = e.inSets || o.inSets
}

func (e *effect) field(f ruleset.Field) {
	if e.fields == nil {
		e.fields = make(map[ruleset.Field]bool)
	}
	e.fields[f] = true
}

// statement adds what a step may change, jumps left out.
func (e *effect) statement(s ruleset.Statement) {
	switch s := s.(type) {
	case *ruleset.Assign:
		_, _, _, payload := s.Field.IsPayload()
		_, _, _, _, extension := s.Field.IsExtension()
		switch {
		case payload || extension:
			e.payload = true
		case s.Field.IsConntrack():
			e.conntrack = true
		}
		e.field(s.Field)
	case *ruleset.NoTrack:
		e.conntrack = true
	case *ruleset.Opaque:
		e.inSets = true
		e.unknown = e.unknown || !s.Understood
	}
}

// graph is what is known of a ruleset's chains as a whole.
type graph struct {
	effects map[*ruleset.Chain]*effect
	closed  map[*ruleset.Chain]bool
	chains  map[*ruleset.Chain]*chain
}

// chain is a chain's rules as conditions.
type chain struct {
	all     []*condition
	enders  *index // of those that no packet gets past; nil where there are none
	changes *changes
}

func newGraph() *graph {
	return &graph{effects: make(map[*ruleset.Chain]*effect), closed: make(map[*ruleset.Chain]bool),
		chains: make(map[*ruleset.Chain]*chain)}
}

// read reads a chain once.
func (g *graph) read(c *ruleset.Chain) *chain {
	if known, ok := g.chains[c]; ok {
		return known
	}
	out := &chain{all: make([]*condition, len(c.Rules)), changes: g.changesOf(c)}
	var enders []*condition
	for i, r := range c.Rules {
		cond := conditionOf(r, i, g.isClosed)
		out.all[i] = &cond
		if !cond.never() && cond.complete && cond.ends {
			enders = append(enders, &cond)
		}
	}
	if len(enders) > 0 {
		out.enders = newIndex(enders)
	}
	g.chains[c] = out
	return out
}

// effectOf is what a chain may change, the chains it leads to included.
func (g *graph) effectOf(c *ruleset.Chain) *effect {
	if e, ok := g.effects[c]; ok {
		return e
	}
	e := &effect{}
	g.effects[c] = e // chains do not loop; a file of nonsense may
	for _, r := range c.Rules {
		e.join(g.ruleEffect(r))
	}
	return e
}

func (g *graph) ruleEffect(r *ruleset.Rule) *effect {
	e := &effect{unknown: !r.Read}
	for _, s := range r.Statements {
		e.statement(s)
		for _, target := range targets(s) {
			e.join(g.effectOf(target))
		}
	}
	return e
}

// targets are the chains that a step may lead to.
func targets(s ruleset.Statement) []*ruleset.Chain {
	switch s := s.(type) {
	case *ruleset.Verdict:
		if s.Target != nil {
			return []*ruleset.Chain{s.Target}
		}
	case *ruleset.VerdictMap:
		if s.Set == nil {
			return nil
		}
		var list []*ruleset.Chain
		for i := range s.Set.Elements {
			if v := s.Set.Elements[i].Verdict; v != nil && v.Target != nil {
				list = append(list, v.Target)
			}
		}
		return list
	}
	return nil
}

// changesOf looks through one chain.
func (g *graph) changesOf(c *ruleset.Chain) *changes {
	out := &changes{byField: make(map[ruleset.Field][]int)}
	for i, r := range c.Rules {
		e := g.ruleEffect(r)
		note := func(list *[]int, holds bool) {
			if holds {
				*list = append(*list, i)
			}
		}
		for f := range e.fields {
			out.byField[f] = append(out.byField[f], i)
		}
		note(&out.payload, e.payload)
		note(&out.conntrack, e.conntrack)
		note(&out.some, len(e.fields) > 0 || e.payload || e.conntrack)
		note(&out.all, e.unknown)
		note(&out.sets, e.inSets)
	}
	return out
}

// isClosed reports whether no packet that enters the chain comes back to the
// rule that jumped to it: a rule without condition ends what is left, and
// nothing before it returns.
func (g *graph) isClosed(c *ruleset.Chain) bool {
	if closed, ok := g.closed[c]; ok {
		return closed
	}
	g.closed[c] = false // for a loop, which is none
	for i, r := range c.Rules {
		cond := conditionOf(r, i, g.isClosed)
		if !r.Read || mayReturn(r, g) {
			return false
		}
		if cond.unconditional() && cond.ends {
			g.closed[c] = true
			return true
		}
	}
	return false
}

// mayReturn reports whether a rule can end the chain's evaluation without ending
// the packet's: by return, or by going to a chain that may.
func mayReturn(r *ruleset.Rule, g *graph) bool {
	verdict := func(v *ruleset.Verdict) bool {
		return v != nil && (v.Kind == ruleset.Return || v.Kind == ruleset.Goto && (v.Target == nil || !g.isClosed(v.Target)))
	}
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *ruleset.Verdict:
			if verdict(s) {
				return true
			}
		case *ruleset.VerdictMap:
			if s.Set == nil || !s.Set.Complete {
				return true
			}
			for i := range s.Set.Elements {
				if verdict(s.Set.Elements[i].Verdict) {
					return true
				}
			}
		}
	}
	return false
}
