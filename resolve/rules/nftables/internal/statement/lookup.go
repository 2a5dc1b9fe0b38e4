package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// key is what a set is asked for: the fields and how their values lie in the
// registers.
type key struct {
	fields []ruleset.Field
	mask   []byte
	layout Layout
	// doubt is what cannot be told of the key; nil where all of it can be.
	doubt *value
	told  bool // at least one field is known
}

// lookup ends the rule where the set does not hold the key (or with a flag, does)
// and takes the verdict or data that a map holds for it.
func (d *Decoder) lookup(data []byte, outer *nlattr.Attrs) {
	var (
		from, flags, to uint32
		into            bool
		name            []byte
	)
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_LOOKUP_SET:
			name = a.Text()
		case unix.NFTA_LOOKUP_SREG:
			from = a.Uint32()
		case unix.NFTA_LOOKUP_DREG:
			to, into = a.Uint32(), true
		case unix.NFTA_LOOKUP_FLAGS:
			flags = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	s := d.table.Set(name)
	if s == nil {
		d.settle()
		d.add(&ruleset.Opaque{Kind: "lookup", MayFail: true, MayDrop: true, MayAccept: true, Text: "@" + string(name)})
		return
	}
	k := d.key(from, s)
	if into && to == registerVerdict {
		d.verdictMap(s, k)
		return
	}
	const inverted = 1 // NFT_LOOKUP_F_INV
	d.membership(s, k, flags&inverted != 0)
	if into {
		d.load(to, value{
			width: int(min(max(s.DataLength, 1), maxWidth)), unknown: "map", understood: true,
			text: k.text(d) + " map " + s.reference(), used: true,
		})
	}
}

// key is what stands in the registers for the set.
func (d *Decoder) key(register uint32, s *Set) key {
	var k key
	list := d.registers.gather(register, int(s.KeyLength))
	if list == nil {
		k.doubt = &value{unknown: "lookup", text: "lookup"}
		return k
	}
	masked := false
	for _, v := range list {
		v.used = true
		f, slot := v.field, Slot{Width: v.width, Size: v.size(), Swapped: v.swapped, Front: v.front, Shift: v.shift}
		if !v.isField() || !isZero(v.xor) {
			f, slot = ruleset.Unknown(v.width), Slot{Width: v.width, Size: v.width, Swapped: v.swapped}
			k.doubt = v
		} else {
			k.told = true
		}
		k.fields = append(k.fields, f)
		k.layout = append(k.layout, slot)
		masked = masked || v.mask != nil
	}
	if masked {
		for i, v := range list {
			if v.mask != nil && k.layout[i].Size == len(v.mask) {
				k.mask = append(k.mask, v.mask...)
				continue
			}
			k.mask = append(k.mask, filled(k.layout[i].Size, 0xff)...)
		}
		k.mask = plainMask(k.mask)
	}
	return k
}

// membership is a match of the key with the set.
func (d *Decoder) membership(s *Set, k key, negate bool) {
	if !k.told {
		o := &ruleset.Opaque{Kind: k.doubt.kind(), Understood: k.doubt.understood, MayFail: true, MayDrop: s.mayDrop()}
		d.Lookups = append(d.Lookups, Lookup{Set: s, Text: &o.Text, prefix: k.doubt.text + " "})
		d.add(o)
		return
	}
	m := &ruleset.Match{Fields: k.fields, Mask: k.mask, Set: s.as(k.layout), Negate: negate}
	prefix := k.text(d) + " "
	if negate {
		prefix += "!= "
	}
	d.Lookups = append(d.Lookups, Lookup{Set: s, Text: &m.Text, prefix: prefix, elements: m.Set, fields: k.fields, context: d.context, keys: true})
	d.add(m)
}

// verdictMap is a lookup that ends the rule with the verdict found.
func (d *Decoder) verdictMap(s *Set, k key) {
	if k.fields == nil {
		k.fields = []ruleset.Field{ruleset.Unknown(int(min(s.KeyLength, maxWidth)))}
		k.layout = Layout{{Width: int(s.KeyLength), Size: int(s.KeyLength)}}
	}
	d.settle()
	m := &ruleset.VerdictMap{Fields: k.fields, Mask: k.mask, Set: s.as(k.layout)}
	d.Lookups = append(d.Lookups, Lookup{Set: s, Text: &m.Text, prefix: k.text(d) + " vmap ", elements: m.Set, fields: k.fields, context: d.context})
	d.add(m)
}

func (v *value) kind() string {
	if v.unknown != "" {
		return v.unknown
	}
	return "lookup"
}
