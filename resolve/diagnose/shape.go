package diagnose

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// shape is a rule read for what it asks.
type shape struct {
	// conditions are all steps that can fail and can be told; matches those of
	// them that are matches, or the negation of a single one.
	conditions []ruleset.Statement
	matches    []*ruleset.Match
	doubts     []*ruleset.Opaque
	verdict    *ruleset.Verdict
	nat        *ruleset.NAT
	assigns    bool // sets marks and their likes
	odd        bool // steps that are none of these
}

func shapeOf(r *ruleset.Rule) shape {
	s := shape{odd: !r.Read}
	for _, st := range r.Statements {
		switch st := st.(type) {
		case *ruleset.Match, *ruleset.Any:
			s.conditions = append(s.conditions, st)
			if m := single(st); m != nil {
				s.matches = append(s.matches, m)
			}
		case *ruleset.Header:
			s.conditions = append(s.conditions, st)
		case *ruleset.Opaque:
			s.doubts = append(s.doubts, st)
		case *ruleset.Verdict:
			s.verdict = st
		case *ruleset.NAT:
			s.nat = st
		case *ruleset.Assign:
			s.assigns = true
		default:
			s.odd = true
		}
	}
	return s
}

// single is the match that a condition is, or the one that it negates; nil where
// it is more.
func single(st ruleset.Statement) *ruleset.Match {
	switch st := st.(type) {
	case *ruleset.Match:
		return st
	case *ruleset.Any:
		m := onlyMatch(st.Of)
		if m == nil || !st.Negate {
			return m
		}
		negated := *m
		negated.Negate = !m.Negate
		if st.Text != "" {
			negated.Text = st.Text
		}
		return &negated
	}
	return nil
}

// onlyMatch is the match of a single alternative, which may look for its header
// first.
func onlyMatch(of [][]ruleset.Statement) *ruleset.Match {
	if len(of) != 1 {
		return nil
	}
	var found *ruleset.Match
	for _, s := range of[0] {
		switch s := s.(type) {
		case *ruleset.Header:
		case *ruleset.Match:
			if found != nil {
				return nil
			}
			found = s
		default:
			return nil
		}
	}
	return found
}

// simple reports whether all conditions are matches or look for a header.
func (s *shape) simple() bool {
	for _, c := range s.conditions {
		if _, ok := c.(*ruleset.Header); !ok && single(c) == nil {
			return false
		}
	}
	return true
}

func (s *shape) is(kinds ...ruleset.VerdictKind) bool {
	return s.verdict != nil && slices.Contains(kinds, s.verdict.Kind)
}

// has returns the first match that looks at one of the fields.
func (s *shape) has(fields ...ruleset.Field) *ruleset.Match {
	for _, m := range s.matches {
		if looksAt(m, fields...) {
			return m
		}
	}
	return nil
}

func looksAt(m *ruleset.Match, fields ...ruleset.Field) bool {
	return slices.ContainsFunc(m.Fields, func(f ruleset.Field) bool { return slices.Contains(fields, f) })
}

// anchored reports whether the rule is about one service, not about all that
// comes from somewhere: only then can it be meant for this packet.
func (s *shape) anchored() bool {
	m := s.has(ruleset.DestinationPort, ruleset.ICMPType, ruleset.ICMPTypeCode)
	return m != nil && !m.Negate
}

// broad reports whether the rule speaks of no service, host or state: the drop
// at the end of a chain.
func (s *shape) broad() bool {
	if s.odd || len(s.doubts) > 0 || !s.simple() {
		return false
	}
	for _, m := range s.matches {
		for _, f := range m.Fields {
			switch f {
			case ruleset.L4Protocol, ruleset.IPProtocol, ruleset.NFProto, ruleset.EtherType,
				ruleset.InName, ruleset.OutName, ruleset.InIndex, ruleset.OutIndex:
			default:
				return false
			}
		}
		if m.Set != nil && !m.Set.Anonymous {
			return false
		}
	}
	return true
}
