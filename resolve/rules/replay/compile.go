package replay

import (
	"encoding/binary"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// chain is a chain ready for evaluation.
type chain struct {
	src   *ruleset.Chain
	rules []rule
	// changes: a rule of it, or of a chain that it leads to, may change the
	// packet for rules behind.
	changes bool
}

// rule is a rule ready for evaluation. The matches that stand before anything
// that changes the packet are apart: most rules end in them.
type rule struct {
	src     *ruleset.Rule
	matches []match
	rest    []step
	read    bool
}

// step is one statement behind the first that is no match.
type step struct {
	match  *match // of Match and VerdictMap
	src    ruleset.Statement
	target *chain // of Jump and Goto
	// byElement are a verdict map's targets.
	targets map[*ruleset.Chain]*chain
}

// match is a Match or the look-up of a VerdictMap.
type match struct {
	negate bool
	// One field of up to eight bytes with few ranges compares as a number.
	numeric bool
	// direct: the field is one that rules do not change, found at slot.
	direct  bool
	several bool // ranges: others has the rest
	slot    int32
	bitmask uint64
	first   span
	header  *ruleset.Header // of Header; the rest does not count then
	// What few matches look at is elsewhere, so that 10,000 rules leave room in
	// the processor's cache.
	*details
}

type details struct {
	src    ruleset.Statement
	others []span
	slots  []int
	mask   []byte
	index  *ruleset.Index
	any    *alternatives // of Any; the rest does not count then
}

// span is a range of numbers with both ends; empty where from is above to.
type span struct{ from, to uint64 }

// alternatives are those of an Any; a nil match is a step that cannot be told.
type alternatives struct {
	of     [][]*match
	why    string
	negate bool
}

type setKey struct {
	set   *ruleset.Set
	sizes string
}

type compiler struct {
	f       *Firewall
	chains  map[*ruleset.Chain]*chain
	indexes map[setKey]*ruleset.Index
}

func (c *compiler) chain(src *ruleset.Chain) *chain {
	if done := c.chains[src]; done != nil {
		return done
	}
	out := &chain{src: src, rules: make([]rule, 0, len(src.Rules))}
	c.chains[src] = out // before its rules: a broken ruleset may have a loop
	for _, r := range src.Rules {
		x := c.rule(r)
		out.changes = out.changes || x.changes()
		out.rules = append(out.rules, x)
	}
	return out
}

func (c *compiler) rule(src *ruleset.Rule) rule {
	out := rule{src: src, read: src.Read}
	first := slices.IndexFunc(src.Statements, func(s ruleset.Statement) bool { return !isCondition(s) })
	if first < 0 {
		first = len(src.Statements)
	}
	out.matches = make([]match, first)
	for i, s := range src.Statements[:first] {
		out.matches[i], _ = c.condition(s)
	}
	out.rest = make([]step, len(src.Statements)-first)
	for i, s := range src.Statements[first:] {
		out.rest[i] = c.step(s)
	}
	return out
}

func (x *rule) changes() bool {
	if !x.read {
		return true
	}
	for i := range x.rest {
		p := &x.rest[i]
		switch s := p.src.(type) {
		case *ruleset.Assign, *ruleset.NAT, *ruleset.NoTrack:
			return true
		case *ruleset.Opaque:
			if !s.Understood {
				return true
			}
		}
		if p.target != nil && p.target.changes {
			return true
		}
		for _, t := range p.targets {
			if t.changes {
				return true
			}
		}
	}
	return false
}

func isCondition(s ruleset.Statement) bool {
	switch s.(type) {
	case *ruleset.Match, *ruleset.Header, *ruleset.Any:
		return true
	}
	return false
}

// condition compiles a statement that only holds or fails.
func (c *compiler) condition(s ruleset.Statement) (match, bool) {
	switch s := s.(type) {
	case *ruleset.Match:
		return c.match(s), true
	case *ruleset.Header:
		return match{header: s, details: &details{src: s}}, true
	case *ruleset.Any:
		return c.alternatives(s), true
	}
	return match{}, false
}

func (c *compiler) alternatives(s *ruleset.Any) match {
	out := &alternatives{negate: s.Negate}
	for _, statements := range s.Of {
		var all []*match
		for _, one := range statements {
			if m, ok := c.condition(one); ok {
				all = append(all, &m)
				continue
			}
			if o, ok := one.(*ruleset.Opaque); ok {
				out.why = o.Kind
			}
			all = append(all, nil)
		}
		out.of = append(out.of, all)
	}
	return match{details: &details{src: s, any: out}}
}

func (c *compiler) step(s ruleset.Statement) step {
	out := step{src: s}
	if m, ok := c.condition(s); ok {
		out.match = &m
		return out
	}
	switch s := s.(type) {
	case *ruleset.VerdictMap:
		out.match = &match{details: &details{src: s, slots: c.slots(s.Fields), mask: s.Mask, index: c.index(s.Set, s.Fields)}}
		out.targets = make(map[*ruleset.Chain]*chain)
		for i := range s.Set.Elements {
			if v := s.Set.Elements[i].Verdict; v != nil && v.Target != nil {
				out.targets[v.Target] = c.chain(v.Target)
			}
		}
	case *ruleset.Verdict:
		if s.Target != nil {
			out.target = c.chain(s.Target)
		}
	case *ruleset.Assign:
		c.slot(s.Field)
		if s.From != 0 {
			c.slot(s.From)
		}
	}
	return out
}

// fewRanges are compared one after the other.
const fewRanges = 4

func (c *compiler) match(s *ruleset.Match) match {
	out := match{negate: s.Negate, details: &details{src: s, slots: c.slots(s.Fields), mask: s.Mask}}
	switch {
	case s.Set != nil:
		out.index = c.index(s.Set, s.Fields)
	case len(s.Fields) == 1 && s.Fields[0].Size() <= 8 && len(s.Ranges) <= fewRanges && c.numbers(&out, s):
		out.numeric = true
		out.slot = int32(out.slots[0])
		out.direct = c.f.reads[out.slot] == fromPacket
	default:
		out.index = ruleset.NewRangeIndex(s.Ranges, sizes(s.Fields))
	}
	return out
}

// numbers turns ranges into numbers; false where one has another length than its
// field.
func (c *compiler) numbers(out *match, s *ruleset.Match) bool {
	size := s.Fields[0].Size()
	out.bitmask = ^uint64(0)
	if s.Mask != nil {
		if len(s.Mask) != size {
			return false
		}
		out.bitmask = number(s.Mask)
	}
	out.first = span{1, 0}
	for i, r := range s.Ranges {
		if len(r.From) != size || len(r.To) != size {
			return false
		}
		n := span{number(r.From), number(r.To)}
		if i == 0 {
			out.first = n
		} else {
			out.several, out.others = true, append(out.others, n)
		}
	}
	return true
}

func (c *compiler) slots(fields []ruleset.Field) []int {
	out := make([]int, len(fields))
	for i, f := range fields {
		out[i] = c.slot(f)
	}
	return out
}

func (c *compiler) slot(f ruleset.Field) int {
	n, ok := c.f.slots[f]
	if !ok {
		n = len(c.f.fields)
		c.f.slots[f] = n
		c.f.fields = append(c.f.fields, f)
		c.f.reads = append(c.f.reads, sourceOf(f))
	}
	return n
}

func (c *compiler) index(s *ruleset.Set, fields []ruleset.Field) *ruleset.Index {
	sz := sizes(fields)
	key := setKey{set: s}
	for _, n := range sz {
		key.sizes += string(rune(n))
	}
	x := c.indexes[key]
	if x == nil {
		x = ruleset.NewIndex(s, sz)
		c.indexes[key] = x
	}
	return x
}

func sizes(fields []ruleset.Field) []int {
	out := make([]int, len(fields))
	for i, f := range fields {
		out[i] = f.Size()
	}
	return out
}

// number reads up to eight bytes, big endian.
func number(b []byte) uint64 {
	var room [8]byte
	copy(room[8-len(b):], b)
	return binary.BigEndian.Uint64(room[:])
}
