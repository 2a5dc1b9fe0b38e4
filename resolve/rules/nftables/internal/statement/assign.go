package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// setMeta sets a property of the packet.
func (d *Decoder) setMeta(key, register uint32) {
	v := metaValue(key)
	if key == unix.NFT_META_NFTRACE || key == unix.NFT_META_SECMARK {
		d.settle()
		return // has no say
	}
	if !v.isField() {
		d.settle()
		d.add(&ruleset.Opaque{Kind: "meta set", MayFail: true, Text: "meta set"})
		return
	}
	d.assign(v, register)
}

// setConntrack sets a property of the packet's connection.
func (d *Decoder) setConntrack(key, register uint32, direction int) {
	switch key {
	case unix.NFT_CT_EVENTMASK, unix.NFT_CT_SECMARK:
		d.settle()
		return // have no say
	case unix.NFT_CT_ZONE:
		direction = -1 // a zone of one direction is no less a zone
	}
	v := conntrackValue(key, direction)
	if !v.isField() {
		d.settle()
		d.add(&ruleset.Opaque{Kind: "ct set", MayFail: true, MayDrop: true, Text: "ct set"})
		return
	}
	if key == unix.NFT_CT_LABELS {
		// Sets the bits beside those that are there.
		d.settle()
		d.add(&ruleset.Assign{Field: ruleset.CTLabel, Text: "ct label set"})
		d.registers.forget(ruleset.CTLabel)
		return
	}
	d.assign(v, register)
}

// write writes to the packet; one that lacks the field ends the rule.
func (d *Decoder) write(f ruleset.Field, ok bool, register uint32) {
	if !ok {
		d.settle()
		d.add(&ruleset.Opaque{Kind: "payload set", MayFail: true, Text: "payload set"})
		return
	}
	d.values = append(d.values, &value{field: f, width: f.Size()})
	d.assign(value{field: f, width: f.Size()}, register)
}

// assign gives the field what the register holds.
func (d *Decoder) assign(to value, register uint32) {
	s := &ruleset.Assign{Field: to.field}
	name := d.fieldText(to.field)
	from := d.registers.get(register)
	switch {
	case from == nil:
	case from.constant != nil:
		d.assignConstant(s, &to, from.constant)
	case !from.isField() || from.shift != 0 || from.size() != to.size() || from.swapped != to.swapped && to.width > 1:
	case from.field == to.field:
		from.used = from.used || alwaysThere(from.field)
		s.Known = true
		s.Mask, s.Value = or(from.mask, filled(to.size(), 0xff)), or(from.xor, filled(to.size(), 0))
	case isZero(from.xor):
		s.From, s.Known, s.Value = from.field, true, plainMask(from.mask)
	}
	d.settle()
	s.Text = name + " set" + d.context.assignText(s, from)
	if !s.Known {
		s.Mask, s.Value, s.From = nil, nil, 0
	}
	d.add(s)
	d.registers.forget(to.field)
}

func (d *Decoder) assignConstant(s *ruleset.Assign, to *value, constant []byte) {
	if len(constant) < to.width || !isZero(constant[to.width:]) {
		return
	}
	b, ok := to.widen(constant[:to.width], 0)
	if !ok {
		return
	}
	s.Value, s.Known = b, true
}

func or(b, other []byte) []byte {
	if b != nil {
		return b
	}
	return other
}
