package replay

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// value is what a packet says for one field.
type value struct {
	presence Presence
	read     bool
	number   uint64 // of fields of up to eight bytes
	bytes    []byte
	why      string // of NotKnown
}

// source is where a field's value comes from.
type source uint8

const (
	fromPacket  source = iota // stays while the packet's bytes stay
	fromMark                  // rules change it
	fromState                 // ct state: has a domain of its own
	fromTracker               // other fields of conntrack
	fromRoute                 // a FIB look-up that may depend on the mark
)

func sourceOf(f ruleset.Field) source {
	if key, _, ok := f.IsFIB(); ok && key&ruleset.FIBMark != 0 {
		return fromRoute
	}
	switch {
	case f == ruleset.Mark:
		return fromMark
	case f == ruleset.CTState:
		return fromState
	case f.IsConntrack():
		return fromTracker
	}
	return fromPacket
}

// view is a packet as rules see it, with the values that were read already.
type view struct {
	packet Packet
	layout layout
	values []value
	// changed are the bytes that rules or NAT changed: reading them again from
	// another way through the rules may differ. unknown ones cannot be read.
	changed, unknown []region
}

// region is bytes of the packet, from its network header on.
type region struct{ from, to int }

func newView(p *Packet, slots int) *view {
	v := &view{packet: *p, values: make([]value, slots), unknown: p.kept.unknown}
	v.layout = layoutOf(&v.packet)
	return v
}

func notKnown(why string) value { return value{presence: NotKnown, why: why} }

func known(b []byte) value {
	out := value{presence: Present, bytes: b}
	if len(b) <= 8 {
		out.number = number(b)
	}
	return out
}

func absent() value { return value{} }

func number16(n uint16) value {
	return known(binary.BigEndian.AppendUint16(nil, n))
}

func number32(n uint32) value {
	return known(binary.BigEndian.AppendUint32(nil, n))
}

func name(s string) value {
	b := make([]byte, 16)
	copy(b, s)
	return known(b)
}

// read gives a field's value in a state.
func (r *run) read(s *state, slot int) value {
	f := r.f.fields[slot]
	if len(s.set) > 0 {
		if v, ok := s.assigned(f); ok {
			return v
		}
	}
	switch r.f.reads[slot] {
	case fromMark:
		return s.mark
	case fromState:
		return s.stateValue()
	case fromTracker:
		return s.tracker(&s.view.packet.Conntrack, f)
	case fromRoute:
		p := s.view.packet
		p.Mark, p.MarkKnown = uint32(s.mark.number), s.mark.presence == Present
		return r.fib(&p, f)
	}
	v := &s.view.values[slot]
	if !v.read {
		*v = r.fixed(s.view, f)
		v.read = true
	}
	return *v
}

// fixed reads what rules do not change, but by writing the packet's bytes.
func (r *run) fixed(v *view, f ruleset.Field) value {
	if base, offset, length, ok := f.IsPayload(); ok {
		return v.payload(&r.hook, base, offset, length)
	}
	if kind, n, offset, length, ok := f.IsExtension(); ok {
		return v.extension(kind, n, offset, length)
	}
	if _, _, ok := f.IsFIB(); ok {
		return r.fib(&v.packet, f)
	}
	return r.meta(v, f)
}

func (r *run) fib(p *Packet, f ruleset.Field) value {
	if r.env == nil {
		return notKnown("routes are not known")
	}
	key, result, _ := f.IsFIB()
	b, presence := r.env.FIB(p, key, result)
	return answer(b, presence, "route is not known")
}

func answer(b []byte, presence Presence, why string) value {
	switch presence {
	case Present:
		return known(b)
	case Absent:
		return absent()
	}
	return notKnown(why)
}

// isFast reports whether nf_tables loads the bytes without looking whether the
// packet is a later fragment: nft_payload_fast_eval, which nft_payload_select_ops
// picks for such sizes, does not ask for pkt->fragoff, and where the packet's
// data lies decides whether it is used. Measured on 6.18: `tcp dport` matches
// fragments that were not put together.
func isFast(offset, length int) bool {
	return length <= 4 && length&(length-1) == 0 && offset%length == 0
}

func (v *view) payload(h *Hook, base ruleset.Base, offset, length int) value {
	if base == ruleset.Link {
		return v.link(h, offset, length)
	}
	at, presence := v.layout.base(&v.packet, base)
	if base == ruleset.Transport && v.layout.later && isFast(offset, length) {
		return notKnown("the kernel may take a later fragment's data for a header")
	}
	if presence != Present {
		return answer(nil, presence, "header is not known")
	}
	at += offset
	for _, u := range v.unknown {
		if at < u.to && u.from < at+length {
			return notKnown("changed by a rule or NAT in a way that is not known")
		}
	}
	b, presence := slice(&v.packet, at, length)
	return answer(b, presence, "not among the bytes that were recorded")
}

// link reads the link-layer header. A packet that this host sends has none yet.
func (v *view) link(h *Hook, offset, length int) value {
	b := v.packet.Link
	switch {
	case b == nil && (h.Name == "output" || v.packet.In == Interface{Known: true}):
		return absent()
	case b == nil, offset+length > len(b) && len(b) < 14:
		return notKnown("link-layer header is not known")
	case offset+length > len(b):
		return absent()
	}
	return known(b[offset : offset+length])
}

func (r *run) meta(v *view, f ruleset.Field) value {
	p := &v.packet
	switch f {
	case ruleset.EtherType:
		return number16(p.EtherType)
	case ruleset.NFProto:
		return nfProto(p.EtherType)
	case ruleset.L4Protocol:
		if v.layout.l4 != Present {
			return answer(nil, v.layout.l4, "transport header is not known")
		}
		return known([]byte{v.layout.protocol})
	case ruleset.Length:
		if p.Length == 0 {
			return notKnown("length is not known")
		}
		return number32(uint32(p.Length))
	case ruleset.InName, ruleset.OutName, ruleset.InIndex, ruleset.OutIndex:
		return r.interfaceValue(p, f)
	case ruleset.PacketType:
		if p.PacketType < 0 {
			return notKnown("packet type is not known")
		}
		return known([]byte{byte(p.PacketType)})
	case ruleset.SocketUID:
		return owner(p.UID)
	case ruleset.SocketGID:
		return owner(p.GID)
	}
	return r.device(p, f)
}

func nfProto(etherType uint16) value {
	switch etherType {
	case etherIPv4:
		return known([]byte{2})
	case etherIPv6:
		return known([]byte{10})
	}
	return notKnown("of this family")
}

// owner is absent without a socket: nft breaks there.
func owner(id int) value {
	switch {
	case id == -2:
		return absent()
	case id < 0:
		return notKnown("owner of the socket is not known")
	}
	return number32(uint32(id))
}

func (r *run) interfaceValue(p *Packet, f ruleset.Field) value {
	i := p.In
	if f == ruleset.OutName || f == ruleset.OutIndex {
		i = p.Out
	}
	switch {
	case !i.Known:
		return notKnown("interface is not known")
	case f == ruleset.InName || f == ruleset.OutName:
		if i.Name == "" && i.Index != 0 {
			return notKnown("interface's name is not known")
		}
		return name(i.Name)
	case i.Index == 0 && i.Name != "":
		if r.env != nil {
			b, presence := r.env.Link(i, f)
			return answer(b, presence, "interface's index is not known")
		}
		return notKnown("interface's index is not known")
	}
	return number32(i.Index)
}

// device reads what the interface itself tells.
func (r *run) device(p *Packet, f ruleset.Field) value {
	var i Interface
	switch f {
	case ruleset.InType, ruleset.InGroup, ruleset.InBridge, ruleset.InPhysical:
		i = p.In
	case ruleset.OutType, ruleset.OutGroup, ruleset.OutBridge, ruleset.OutPhysical:
		i = p.Out
	default:
		return notKnown("not recorded")
	}
	if !i.Known {
		return notKnown("interface is not known")
	}
	if i.Name == "" && i.Index == 0 {
		return absent()
	}
	if r.env == nil {
		return notKnown("interface's properties are not known")
	}
	b, presence := r.env.Link(i, f)
	return answer(b, presence, "interface's properties are not known")
}
