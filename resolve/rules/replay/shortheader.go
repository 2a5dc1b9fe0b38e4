package replay

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// header evaluates how x_tables' matches of a transport protocol begin.
func (v *view) header(h *ruleset.Header) verdictOf {
	l := &v.layout
	switch {
	case l.l4 == NotKnown:
		return mayBeShort(h)
	case l.l4 == Absent:
		return cutShort(h)
	case l.later && h.FragmentOverwrite && l.offset == 8:
		return cutShort(h)
	case l.later:
		return verdictOf{truth: truth(h.LaterFragments)}
	case h.Size == 0:
		return verdictOf{truth: Yes}
	}
	switch v.has(l.transport + h.Size) {
	case No:
		return cutShort(h)
	case Unknown:
		return mayBeShort(h)
	}
	if !h.Options {
		return verdictOf{truth: Yes}
	}
	offset, presence := slice(&v.packet, l.transport+12, 1)
	if presence != Present {
		return mayBeShort(h)
	}
	size := int(offset[0]>>4) * 4
	switch has := v.has(l.transport + size); {
	case size < h.Size || has == No:
		return cutShort(h)
	case has == Unknown:
		return mayBeShort(h)
	}
	return verdictOf{truth: Yes}
}

// has tells whether the packet has n bytes.
func (v *view) has(n int) Truth {
	p := &v.packet
	switch {
	case p.Length != 0:
		return truth(n <= p.Length)
	case n <= len(p.Bytes):
		return Yes
	}
	return Unknown
}

func cutShort(h *ruleset.Header) verdictOf {
	switch h.Short {
	case ruleset.ShortDrops:
		return verdictOf{truth: No, drops: Yes}
	case ruleset.ShortUnknown:
		return verdictOf{truth: No, drops: Unknown, why: "packet is too short"}
	}
	return verdictOf{truth: No}
}

func mayBeShort(h *ruleset.Header) verdictOf {
	out := verdictOf{truth: Unknown, why: "whether the packet has the header is not known"}
	if h.Short != ruleset.ShortFails {
		out.drops = Unknown
	}
	return out
}
