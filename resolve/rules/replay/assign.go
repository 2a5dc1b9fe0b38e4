package replay

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// assign carries out what a rule sets.
func (r *run) assign(s *state, a *ruleset.Assign) {
	v := r.assigned(s, a)
	if a.Field == ruleset.Mark {
		s.mark = v
		return
	}
	if base, offset, length, ok := a.Field.IsPayload(); ok {
		r.write(s, base, offset, length, v)
		return
	}
	if a.Field.IsConntrack() && s.ct&noEntry != 0 {
		if s.ct&^noEntry == 0 {
			return // there is no connection to set it of
		}
		v = notKnown("whether the packet has a connection is not known")
	}
	s.assign(a.Field, v)
}

// assigned is the new value: (old & mask) ^ value.
func (r *run) assigned(s *state, a *ruleset.Assign) value {
	if a.From != 0 {
		return r.copied(s, a)
	}
	if !a.Known {
		return notKnown("what a rule set is not known")
	}
	if a.Mask == nil {
		return known(a.Value)
	}
	old := r.read(s, r.f.slots[a.Field])
	size := a.Field.Size()
	if len(a.Mask) != size || len(a.Value) != size {
		return notKnown("what a rule set is not known")
	}
	if old.presence != Present {
		for _, b := range a.Mask {
			if b != 0 {
				return old
			}
		}
		return known(a.Value)
	}
	out := make([]byte, size)
	for i := range out {
		out[i] = old.bytes[i]&a.Mask[i] ^ a.Value[i]
	}
	return known(out)
}

// copied is (old & mask) ^ (from & value). Without a connection nothing is set.
func (r *run) copied(s *state, a *ruleset.Assign) value {
	from, old := r.read(s, r.f.slots[a.From]), r.read(s, r.f.slots[a.Field])
	if a.From.IsConntrack() && from.presence == Absent {
		return old
	}
	if from.presence != Present || len(from.bytes) != a.Field.Size() {
		return notKnown("what a rule copied is not known")
	}
	if a.Mask == nil && a.Value == nil {
		return from
	}
	if old.presence != Present || len(a.Mask) != len(from.bytes) {
		return notKnown("what a rule copied is not known")
	}
	out := make([]byte, len(from.bytes))
	for i := range out {
		v := from.bytes[i]
		if len(a.Value) == len(out) {
			v &= a.Value[i]
		}
		out[i] = old.bytes[i]&a.Mask[i] ^ v
	}
	return known(out)
}

// write changes bytes of the packet, in a view of its own.
func (r *run) write(s *state, base ruleset.Base, offset, length int, v value) {
	if base == ruleset.Link {
		field, _ := ruleset.Payload(base, offset, length)
		s.assign(field, v)
		return
	}
	at, presence := s.view.layout.base(&s.view.packet, base)
	if presence != Present {
		if presence == NotKnown {
			s.view = s.view.forget(region{0, 1 << 16})
		}
		return
	}
	s.view = s.view.change(at+offset, length, v)
}

// change gives the view of a packet with other bytes.
func (v *view) change(at, length int, val value) *view {
	if val.presence != Present || at+length > len(v.packet.Bytes) || len(val.bytes) != length {
		return v.forget(region{at, at + length})
	}
	p := v.packet
	p.Bytes = append([]byte(nil), p.Bytes...)
	copy(p.Bytes[at:], val.bytes)
	out := newView(&p, len(v.values))
	out.changed = append(v.changed[:len(v.changed):len(v.changed)], region{at, at + length})
	out.unknown = v.unknown
	return out
}

// forget gives the view of a packet with bytes that are not known any more.
func (v *view) forget(g region) *view {
	out := newView(&v.packet, len(v.values))
	out.changed = append(v.changed[:len(v.changed):len(v.changed)], g)
	out.unknown = append(v.unknown[:len(v.unknown):len(v.unknown)], g)
	return out
}

// anything is what a step that is not understood may do to the packet.
func (r *run) anything(s *state) {
	why := "a rule that is not understood may have changed it"
	s.mark = notKnown(why)
	s.assign(ruleset.CTMark, notKnown(why))
	s.view = s.view.forget(region{0, 1 << 16})
}
