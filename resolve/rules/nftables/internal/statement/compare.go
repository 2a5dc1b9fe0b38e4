package statement

import (
	"bytes"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// compare ends the rule unless a register compares with a constant.
func (d *Decoder) compare(data []byte, outer *nlattr.Attrs) {
	var from, op uint32
	var operand []byte
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_CMP_SREG:
			from = a.Uint32()
		case unix.NFTA_CMP_OP:
			op = a.Uint32()
		case unix.NFTA_CMP_DATA:
			operand = dataValue(&a)
		}
	}
	outer.Bad = outer.Bad || a.Bad
	v := d.registers.get(from)
	if v == nil || !v.isField() {
		d.doubt(v, "cmp")
		return
	}
	low, high, ok := v.bounds(operand, op == unix.NFT_CMP_EQ || op == unix.NFT_CMP_NEQ)
	if !ok {
		d.doubt(v, "cmp")
		return
	}
	negate, sign := op == unix.NFT_CMP_NEQ, ""
	switch op {
	case unix.NFT_CMP_EQ, unix.NFT_CMP_NEQ:
		if d.apart(v, low, high, negate) {
			return
		}
	case unix.NFT_CMP_LT:
		sign = "<"
		low, high, ok = filled(len(low), 0), low, decrement(low)
	case unix.NFT_CMP_LTE:
		sign = "<="
		low = filled(len(low), 0)
	case unix.NFT_CMP_GT:
		sign = ">"
		low, high, ok = high, filled(len(high), 0xff), increment(high)
	case unix.NFT_CMP_GTE:
		sign = ">="
		high = filled(len(high), 0xff)
	default:
		d.doubt(v, "cmp")
		return
	}
	v.used = true
	var ranges []ruleset.Range
	if ok { // else no value is less, or more
		ranges = []ruleset.Range{{From: low, To: high}}
	}
	d.match(v, ranges, negate, sign)
}

// between ends the rule unless a register is (or is not) in a range.
func (d *Decoder) between(data []byte, outer *nlattr.Attrs) {
	var from, op uint32
	var lowest, highest []byte
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_RANGE_SREG:
			from = a.Uint32()
		case unix.NFTA_RANGE_OP:
			op = a.Uint32()
		case unix.NFTA_RANGE_FROM_DATA:
			lowest = dataValue(&a)
		case unix.NFTA_RANGE_TO_DATA:
			highest = dataValue(&a)
		}
	}
	outer.Bad = outer.Bad || a.Bad
	v := d.registers.get(from)
	if v == nil || !v.isField() || op > 1 {
		d.doubt(v, "range")
		return
	}
	low, _, ok := v.bounds(lowest, false)
	_, high, ok2 := v.bounds(highest, false)
	if !ok || !ok2 || len(lowest) != len(highest) {
		d.doubt(v, "range")
		return
	}
	v.used = true
	var ranges []ruleset.Range
	if bytes.Compare(low, high) <= 0 {
		ranges = []ruleset.Range{{From: low, To: high}}
	}
	d.match(v, ranges, op == 1, "") // NFT_RANGE_NEQ
}

// doubt keeps a comparison whose outcome cannot be told.
func (d *Decoder) doubt(v *value, expression string) {
	o := &ruleset.Opaque{Kind: expression, MayFail: true, Text: expression}
	if v != nil {
		v.used = true
		if v.unknown != "" {
			o.Kind, o.Understood, o.Text = v.unknown, v.understood, v.text
		}
	}
	d.add(o)
}

// bounds are the lowest and highest value of the field whose register equals the
// operand; several where the register holds less than the field, or the operand
// less than the register (a name's beginning). Only where equal is asked for
// need the order of the bytes not be that of the numbers.
func (v *value) bounds(operand []byte, equal bool) (low, high []byte, ok bool) {
	if len(operand) == 0 || !equal && !v.ordered() {
		return nil, nil, false
	}
	if len(operand) > v.width {
		// A register is filled up with 0 to its last word.
		if len(operand) > 4*v.words() || !isZero(operand[v.width:]) {
			return nil, nil, false
		}
		operand = operand[:v.width]
	}
	if len(operand) < v.width && v.swapped || v.front && len(operand) != v.width {
		return nil, nil, false
	}
	low, ok = v.widen(operand, 0)
	high, ok2 := v.widen(operand, 0xff)
	if isName(v.field) && bytes.IndexByte(operand, 0) >= 0 {
		high = bytes.Clone(low) // iptables compares a name with its NUL: it ends there
	}
	if !ok || !ok2 {
		return nil, nil, false
	}
	if !isZero(v.xor) {
		for i := range low {
			low[i] ^= v.xor[i]
			high[i] ^= v.xor[i]
		}
		if !bytes.Equal(low, high) && len(operand) != v.size() {
			return nil, nil, false
		}
	}
	return low, high, true
}

func decrement(b []byte) bool {
	for i := len(b) - 1; i >= 0; i-- {
		b[i]--
		if b[i] != 0xff {
			return true
		}
	}
	return false
}

func increment(b []byte) bool {
	for i := len(b) - 1; i >= 0; i-- {
		b[i]++
		if b[i] != 0 {
			return true
		}
	}
	return false
}

// match adds a match of one field. sign is how it compares, for people.
func (d *Decoder) match(v *value, ranges []ruleset.Range, negate bool, sign string) {
	m := &ruleset.Match{Fields: []ruleset.Field{v.field}, Mask: plainMask(v.mask), Ranges: ranges, Negate: negate}
	prefixRange(m)
	if d.narrow(m) {
		return
	}
	m.Text = d.matchText(m, sign)
	d.learn(m)
	d.add(m)
}

// prefixRange makes of an address under a prefix's mask the range that it is.
func prefixRange(m *ruleset.Match) {
	if m.Mask == nil || !isAddress(m.Fields[0]) || len(m.Ranges) != 1 {
		return
	}
	r := m.Ranges[0]
	if _, ok := prefix(m.Mask); !ok || !bytes.Equal(r.From, r.To) {
		return
	}
	to := bytes.Clone(r.From)
	for i := range to {
		if r.From[i]&^m.Mask[i] != 0 {
			return // holds for no address
		}
		to[i] |= ^m.Mask[i]
	}
	m.Mask, m.Ranges[0].To = nil, to
}

// narrow makes one range of "not below" and "not above", which is how nft writes
// ranges. It reports whether the match before was the other half of this one.
func (d *Decoder) narrow(m *ruleset.Match) bool {
	if len(d.body.Statements) == 0 || m.Negate || len(m.Ranges) != 1 || !isZero(m.Ranges[0].From) {
		return false
	}
	last, ok := d.body.Statements[len(d.body.Statements)-1].(*ruleset.Match)
	if !ok || last.Negate || last.Set != nil || len(last.Fields) != 1 || last.Fields[0] != m.Fields[0] ||
		!bytes.Equal(last.Mask, m.Mask) || len(last.Ranges) != 1 {
		return false
	}
	low, high := last.Ranges[0], m.Ranges[0]
	if !bytes.Equal(low.To, filled(len(low.To), 0xff)) || bytes.Compare(low.From, high.To) > 0 {
		return false
	}
	last.Ranges[0].To = high.To
	last.Text = d.matchText(last, "")
	return true
}

// plainMask is nil where the mask takes nothing away.
func plainMask(mask []byte) []byte {
	for _, b := range mask {
		if b != 0xff {
			return mask
		}
	}
	return nil
}

// learn takes from a match what later ones are about.
func (d *Decoder) learn(m *ruleset.Match) {
	if m.Negate || m.Mask != nil || m.Set != nil || len(m.Ranges) != 1 || !bytes.Equal(m.Ranges[0].From, m.Ranges[0].To) {
		return
	}
	exact := m.Ranges[0].From
	switch m.Fields[0] {
	case ruleset.NFProto:
		d.context.network, d.context.networkBy = exact[0], m
	case ruleset.EtherType, ruleset.LinkType:
		switch uint16(exact[0])<<8 | uint16(exact[1]) {
		case unix.ETH_P_IP:
			d.context.network, d.context.networkBy = unix.NFPROTO_IPV4, m
		case unix.ETH_P_IPV6:
			d.context.network, d.context.networkBy = unix.NFPROTO_IPV6, m
		}
	case ruleset.InType, ruleset.OutType:
		d.context.linkBy = m
	case ruleset.L4Protocol:
		d.context.transport, d.context.transportBy = exact[0], m
	case ruleset.IPProtocol:
		if d.context.network == unix.NFPROTO_IPV4 {
			d.context.transport, d.context.transportBy = exact[0], nil
		}
	case ruleset.IP6NextHeader:
		if d.context.network == unix.NFPROTO_IPV6 {
			d.context.transport, d.context.transportBy = exact[0], nil
		}
	}
}
