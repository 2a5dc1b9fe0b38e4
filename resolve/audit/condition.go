package audit

import (
	"reflect"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// condition is what a rule asks of a packet, all of it, and how the rule ends.
type condition struct {
	rule    *ruleset.Rule
	index   int // in the chain
	matches []values
	rest    []ruleset.Statement // Any and Header
	// complete is false where more is asked than stands here: the rule matches
	// fewer packets than the condition says.
	complete bool
	// ends is true where no packet that meets a complete condition gets past
	// the rule; by is how, NAT told as Accept.
	ends bool
	by   ruleset.VerdictKind
}

// conditionOf reads a rule up to its verdict. closed tells chains that no packet
// comes back from.
func conditionOf(r *ruleset.Rule, index int, closed func(*ruleset.Chain) bool) condition {
	c := condition{rule: r, index: index, complete: r.Read}
	changed := false // what is looked at from here on may be what the rule set
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *ruleset.Assign, *ruleset.NoTrack:
			changed = true
		case *ruleset.Match:
			if v, ok := valuesOf(s); ok && !changed {
				c.add(v)
			} else {
				c.complete = false
			}
		case *ruleset.Any:
			if changed {
				c.complete = false
				continue
			}
			c.rest = append(c.rest, s)
			c.complete = c.complete && plainAny(s)
		case *ruleset.Header:
			c.rest = append(c.rest, s)
		case *ruleset.Opaque:
			c.complete = c.complete && s.Understood && !s.MayFail
			changed = true
		case *ruleset.VerdictMap:
			c.complete = false // what is in the map ends here, the rest goes on
		case *ruleset.NAT:
			c.ends, c.by = true, ruleset.Accept
			return c
		case *ruleset.Verdict:
			c.by = s.Kind
			switch s.Kind {
			case ruleset.Jump:
				c.ends = s.Target != nil && closed(s.Target)
			case ruleset.Continue:
			default:
				c.ends = true
			}
			return c
		}
	}
	return c
}

// add narrows a field that was looked at before, where both can be told.
func (c *condition) add(v values) {
	for i := range c.matches {
		m := &c.matches[i]
		if m.key != v.key || m.kind != v.kind {
			continue
		}
		switch v.kind {
		case byteValues:
			for i := range m.bits {
				m.bits[i] &= v.bits[i]
			}
			return
		case rangeValues:
			size := v.fields[0].Size()
			both := normalize(append(complement(m.ranges, size), complement(v.ranges, size)...))
			m.ranges = complement(both, size)
			return
		}
	}
	c.matches = append(c.matches, v)
}

// never reports whether the rule's own matches exclude each other.
func (c *condition) never() bool {
	for i := range c.matches {
		m := &c.matches[i]
		if m.kind == byteValues && m.bits == [4]uint64{} || m.kind == rangeValues && len(m.ranges) == 0 {
			return true
		}
	}
	return false
}

// unconditional: every packet meets it.
func (c *condition) unconditional() bool {
	return c.complete && len(c.matches) == 0 && len(c.rest) == 0
}

// covers reports whether each packet that meets d meets c, too. It is never
// wrong when it says so.
func (c *condition) covers(d *condition) bool {
	if !c.complete {
		return false
	}
	for i := range c.matches {
		if !d.implies(&c.matches[i]) {
			return false
		}
	}
	for _, s := range c.rest {
		if !d.impliesRest(s) {
			return false
		}
	}
	return true
}

func (c *condition) implies(v *values) bool {
	for i := range c.matches {
		if v.contains(&c.matches[i]) {
			return true
		}
	}
	return false
}

func (c *condition) impliesRest(s ruleset.Statement) bool {
	switch s := s.(type) {
	case *ruleset.Header:
		return c.impliesHeader(s)
	case *ruleset.Any:
		return c.impliesAny(s)
	case *ruleset.Match:
		v, ok := valuesOf(s)
		return ok && c.implies(&v)
	}
	return false
}

// impliesHeader leaves packets aside that are cut short inside their transport
// header: no receiver takes them for what the rules speak of. What is left of
// the question are later fragments, which have no such header.
func (c *condition) impliesHeader(h *ruleset.Header) bool {
	if h.Options && !slices.ContainsFunc(c.rest, func(s ruleset.Statement) bool {
		own, ok := s.(*ruleset.Header)
		return ok && own.Options
	}) {
		return false
	}
	return h.LaterFragments || c.wantsTransport()
}

// wantsTransport reports whether later fragments never meet the condition.
func (c *condition) wantsTransport() bool {
	for _, s := range c.rest {
		if own, ok := s.(*ruleset.Header); ok && !own.LaterFragments {
			return true
		}
	}
	for i := range c.matches {
		for _, f := range c.matches[i].fields {
			if base, _, _, ok := f.IsPayload(); ok && base == ruleset.Transport {
				return true
			}
		}
	}
	return false
}

func (c *condition) impliesAny(a *ruleset.Any) bool {
	for _, s := range c.rest {
		if own, ok := s.(*ruleset.Any); ok && sameAny(own, a) {
			return true
		}
	}
	if a.Negate {
		return c.excludesAll(a.Of)
	}
	for _, alternative := range a.Of {
		if c.impliesEach(alternative) {
			return true
		}
	}
	return false
}

func (c *condition) impliesEach(statements []ruleset.Statement) bool {
	for _, s := range statements {
		if !c.impliesRest(s) {
			return false
		}
	}
	return true
}

// excludesAll reports whether each alternative has a match that fails for every
// packet that meets c.
func (c *condition) excludesAll(alternatives [][]ruleset.Statement) bool {
	for _, alternative := range alternatives {
		if !c.excludes(alternative) {
			return false
		}
	}
	return true
}

func (c *condition) excludes(statements []ruleset.Statement) bool {
	for _, s := range statements {
		m, ok := s.(*ruleset.Match)
		if !ok {
			continue
		}
		v, ok := valuesOf(m)
		if !ok {
			continue
		}
		for i := range c.matches {
			if v.apart(&c.matches[i]) {
				return true
			}
		}
	}
	return false
}

// plainAny has nothing in it that cannot be told.
func plainAny(a *ruleset.Any) bool {
	for _, alternative := range a.Of {
		for _, s := range alternative {
			switch s := s.(type) {
			case *ruleset.Match:
			case *ruleset.Any:
				if !plainAny(s) {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// sameAny compares all but the words.
func sameAny(a, b *ruleset.Any) bool {
	if a.Negate != b.Negate || len(a.Of) != len(b.Of) {
		return false
	}
	for i := range a.Of {
		if len(a.Of[i]) != len(b.Of[i]) {
			return false
		}
		for j := range a.Of[i] {
			if !sameStatement(a.Of[i][j], b.Of[i][j]) {
				return false
			}
		}
	}
	return true
}

func sameStatement(a, b ruleset.Statement) bool {
	switch a := a.(type) {
	case *ruleset.Match:
		b, ok := b.(*ruleset.Match)
		if !ok {
			return false
		}
		x, y := *a, *b
		x.Text, y.Text, x.Implied, y.Implied = "", "", false, false
		return x.Set == y.Set && reflect.DeepEqual(x, y)
	case *ruleset.Any:
		b, ok := b.(*ruleset.Any)
		return ok && sameAny(a, b)
	}
	return false
}

// fields lists every field that the condition depends on, those inside Any
// included, and whether it looks into sets that may change.
func (c *condition) fields() (list []ruleset.Field, sets bool) {
	for i := range c.matches {
		list = append(list, c.matches[i].fields...)
		sets = sets || c.matches[i].kind == namedValues
	}
	for _, s := range c.rest {
		more, moreSets := statementFields(s)
		list, sets = append(list, more...), sets || moreSets
	}
	return list, sets
}

func statementFields(s ruleset.Statement) (list []ruleset.Field, sets bool) {
	switch s := s.(type) {
	case *ruleset.Match:
		return s.Fields, s.Set != nil && !s.Set.Anonymous
	case *ruleset.Any:
		for _, alternative := range s.Of {
			for _, inner := range alternative {
				more, moreSets := statementFields(inner)
				list, sets = append(list, more...), sets || moreSets
			}
		}
	}
	return list, sets
}
