package replay

import (
	"math/bits"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// verdictOf is a look-up's answer: whether it holds, for a verdict map by which
// element, and where it cannot be told why.
type verdictOf struct {
	truth   Truth
	element *ruleset.Element
	why     string
	// drops tells whether the match itself drops the packet (hotdrop). Where it
	// may, truth is what becomes of it otherwise.
	drops Truth
}

func truth(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

// quick is eval for what most matches are: one number of the packet that was read
// before.
func (m *match) quick(s *state) (t Truth, ok bool) {
	if !m.direct || len(s.set) > 0 {
		return No, false
	}
	v := &s.view.values[m.slot]
	if !v.read || v.presence != Present {
		return No, false
	}
	n := v.number & m.bitmask
	held := m.first.from <= n && n <= m.first.to
	if !held && m.several {
		held = m.number(n)
	}
	return truth(held != m.negate), true
}

// eval compares the packet with a match. It changes nothing.
func (r *run) eval(s *state, m *match) verdictOf {
	switch {
	case m.header != nil:
		return s.view.header(m.header)
	case m.any != nil:
		return r.anyOf(s, m.any)
	}
	if len(m.slots) == 1 {
		v := r.read(s, m.slots[0])
		switch v.presence {
		case Absent:
			return verdictOf{truth: No}
		case NotKnown:
			return r.unknown(s, m, v)
		}
		if m.numeric {
			return verdictOf{truth: truth(m.number(v.number) != m.negate)}
		}
		return m.lookup(m.masked(v.bytes))
	}
	return r.concatenation(s, m)
}

// anyOf evaluates alternatives.
func (r *run) anyOf(s *state, a *alternatives) verdictOf {
	out := verdictOf{truth: No}
	for _, all := range a.of {
		held := verdictOf{truth: Yes}
		for _, m := range all {
			v := verdictOf{truth: Unknown, why: a.why}
			if m != nil {
				v = r.eval(s, m)
			}
			if v.truth == No {
				held = v
				break
			}
			if v.truth == Unknown && held.truth == Yes {
				held = v
			}
		}
		if held.truth == Yes {
			out = held
			break
		}
		if held.truth == Unknown {
			out = held
		}
	}
	if a.negate && out.truth != Unknown {
		out.truth = truth(out.truth == No)
	}
	return verdictOf{truth: out.truth, why: out.why}
}

func (m *match) number(n uint64) bool {
	n &= m.bitmask
	if m.first.from <= n && n <= m.first.to {
		return true
	}
	for _, r := range m.others {
		if r.from <= n && n <= r.to {
			return true
		}
	}
	return false
}

func (m *match) masked(b []byte) []byte {
	if m.mask == nil || len(m.mask) != len(b) {
		return b
	}
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] & m.mask[i]
	}
	return out
}

func (m *match) lookup(b []byte) verdictOf {
	element, found := m.index.Lookup(b)
	switch found {
	case ruleset.MaybeThere:
		return verdictOf{truth: Unknown, element: element, why: "set may have other elements by now"}
	case ruleset.NotFound:
		return verdictOf{truth: truth(m.negate)}
	}
	return verdictOf{truth: truth(!m.negate), element: element}
}

// unknown answers where one field's value is not known: the connection's state
// may still tell, and a match that takes everything or nothing needs no value.
func (r *run) unknown(s *state, m *match, v value) verdictOf {
	if r.isState(m) {
		if yes := r.states(s, m); yes == s.ct {
			return verdictOf{truth: Yes}
		} else if yes == 0 {
			return verdictOf{truth: No}
		}
	}
	return verdictOf{truth: Unknown, why: v.why}
}

// isState reports whether the match looks at nothing but the connection's state.
func (r *run) isState(m *match) bool {
	return m.header == nil && m.any == nil && len(m.slots) == 1 && r.f.reads[m.slots[0]] == fromState
}

// states are those of the possible states for which the match holds.
func (r *run) states(s *state, m *match) (yes uint32) {
	for left := s.ct; left != 0; left &= left - 1 {
		one := uint32(1) << bits.TrailingZeros32(left)
		held := false
		if m.numeric {
			held = m.number(uint64(one)) != m.negate
		} else {
			switch m.lookup(m.masked(number32(one).bytes)).truth {
			case Yes:
				held = true
			case Unknown:
				return yes | one // some and not all: cannot be told
			}
		}
		if held {
			yes |= one
		}
	}
	return yes
}

// concatenation puts the fields behind each other.
func (r *run) concatenation(s *state, m *match) verdictOf {
	var room [64]byte
	key := room[:0]
	why := ""
	for _, slot := range m.slots {
		v := r.read(s, slot)
		switch v.presence {
		case Absent:
			return verdictOf{truth: No}
		case NotKnown:
			if why == "" {
				why = v.why
			}
		}
		key = append(key, v.bytes...)
	}
	if why != "" {
		return verdictOf{truth: Unknown, why: why}
	}
	return m.lookup(m.masked(key))
}

// split parts a state at a match that cannot be told: the packet for which it
// holds, and that for which it does not.
func (r *run) split(s *state, m *match) (held, failed *state) {
	held, failed = s.copy(), s.copy()
	held.whole, failed.whole = false, false
	if m != nil && r.isState(m) {
		if yes := r.states(s, m); yes != 0 && yes != s.ct && m.index == nil {
			held.ct, failed.ct = yes, s.ct&^yes
		}
	}
	return held, failed
}
