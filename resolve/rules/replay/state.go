package replay

import (
	"bytes"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// state is what is known of a packet at one point of the rules. Where several
// ways lead there, it is what they have in common.
type state struct {
	// whole is true where the packet gets here whatever is not known.
	whole bool
	view  *view
	mark  value
	// ct is the set of states that the connection may be in, as CTState bits.
	ct uint32
	// set are other fields that rules gave a value.
	set []assignment
	// nat is true where a nat chain may have bound a translation at this hook;
	// its look at other nat chains is over then.
	nat Truth
}

type assignment struct {
	field ruleset.Field
	value value
}

const anyState = ruleset.CTInvalid | ruleset.CTEstablished | ruleset.CTRelated | ruleset.CTNew | ruleset.CTUntracked

// without a tracked connection there is nothing but the state.
const noEntry = ruleset.CTInvalid | ruleset.CTUntracked

func (s *state) copy() *state {
	out := *s
	out.set = s.set[:len(s.set):len(s.set)]
	return &out
}

func (s *state) assigned(f ruleset.Field) (value, bool) {
	for i := range s.set {
		if s.set[i].field == f {
			return s.set[i].value, true
		}
	}
	return value{}, false
}

func (s *state) assign(f ruleset.Field, v value) {
	set := make([]assignment, 0, len(s.set)+1)
	for _, a := range s.set {
		if a.field != f {
			set = append(set, a)
		}
	}
	s.set = append(set, assignment{f, v})
}

func (s *state) stateValue() value {
	if s.ct != 0 && s.ct&(s.ct-1) == 0 {
		return number32(s.ct)
	}
	return notKnown("conntrack state is not known")
}

// tracker reads a field of the packet's connection.
func (s *state) tracker(c *Conntrack, f ruleset.Field) value {
	switch {
	case s.ct&^noEntry == 0:
		return absent()
	case s.ct&noEntry != 0, !c.Entry:
		return notKnown("connection is not known")
	}
	return connection(c, f)
}

// merge is what two ways to one point have in common. Either may be nil: no way.
func merge(a, b *state) *state {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	out := *a
	out.whole = false // who knows better says so
	out.ct = a.ct | b.ct
	out.mark = common(a.mark, b.mark)
	if a.nat != b.nat {
		out.nat = Unknown
	}
	if a.view != b.view {
		out.view = mergeViews(a.view, b.view)
	}
	if len(a.set) > 0 || len(b.set) > 0 {
		out.set = mergeSets(a.set, b.set)
	}
	return &out
}

func common(a, b value) value {
	if a.presence == b.presence && bytes.Equal(a.bytes, b.bytes) {
		return a
	}
	return notKnown("whether a rule set it is not known")
}

func mergeSets(a, b []assignment) []assignment {
	var out []assignment
	for _, x := range a {
		v := notKnown("whether a rule set it is not known")
		for _, y := range b {
			if y.field == x.field {
				v = common(x.value, y.value)
			}
		}
		out = append(out, assignment{x.field, v})
	}
	for _, y := range b {
		if _, ok := (&state{set: a}).assigned(y.field); !ok {
			out = append(out, assignment{y.field, notKnown("whether a rule set it is not known")})
		}
	}
	return out
}

// mergeViews keeps the bytes that neither way changed.
func mergeViews(a, b *view) *view {
	out := newView(&a.packet, len(a.values))
	out.changed = append(append(out.changed, a.changed...), b.changed...)
	out.unknown = append(append(append([]region(nil), out.changed...), a.unknown...), b.unknown...)
	if c := &out.packet.Conntrack; !sameEntry(c, &b.packet.Conntrack) {
		c.Entry = false
	}
	return out
}

func sameEntry(a, b *Conntrack) bool {
	return a.Entry == b.Entry && a.Status == b.Status && a.Mark == b.Mark && a.Zone == b.Zone &&
		a.Direction == b.Direction && a.Original.equal(b.Original) && a.Reply.equal(b.Reply)
}

func (t Tuple) equal(u Tuple) bool {
	return t.SourcePort == u.SourcePort && t.DestinationPort == u.DestinationPort &&
		bytes.Equal(t.Source, u.Source) && bytes.Equal(t.Destination, u.Destination)
}
