package iptables

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// builder makes the statements of one rule.
type builder struct {
	family string
	engine ruleset.Engine
	chains map[string]*ruleset.Chain // of the table
	sets   ipset.Sets
	parts  *setParts
	// compat tells which of the rule's matches x_tables' code evaluates; nil
	// where that is not known. It is only asked for iptables-nft.
	compat func(match string) bool

	protocol   int // of -p, -1 for none
	statements []ruleset.Statement
	strict     bool // as in ruleParser
}

func (b *builder) emit(s ...ruleset.Statement) { b.statements = append(b.statements, s...) }

// short is what the match does with a packet that is cut short; ok is false for
// one that nf_tables' own expressions are for, which look at no more than they
// compare.
func (b *builder) short(match string) (s ruleset.Short, ok bool) {
	switch {
	case b.engine == ruleset.IPTablesLegacy:
		return ruleset.ShortDrops, true
	case b.compat == nil:
		return ruleset.ShortUnknown, true
	}
	return ruleset.ShortDrops, b.compat(match)
}

// header emits the look at the transport header that the match begins with.
func (b *builder) header(e *extension, h ruleset.Header) {
	var ok bool
	if h.Short, ok = b.short(e.name); ok {
		h.Text = "-m " + e.name
		b.emit(&h)
	}
}

// match emits a comparison of one field.
func (b *builder) match(o option, f ruleset.Field, ranges ...ruleset.Range) {
	b.emit(compare(o, f, ranges...))
}

// matchMasked compares the field's bits in mask.
func (b *builder) matchMasked(o option, f ruleset.Field, mask, value uint64) {
	m := compare(o, f, number(f, value, value))
	m.Mask = bigEndian(f.Size(), mask)
	b.emit(m)
}

// matchAnyBit holds where one of the bits is set.
func (b *builder) matchAnyBit(o option, f ruleset.Field, mask uint64) {
	b.emit(anyBit(o, f, mask))
}

func anyBit(o option, f ruleset.Field, mask uint64) *ruleset.Match {
	m := compare(o, f, number(f, 0, 0))
	m.Mask, m.Negate = bigEndian(f.Size(), mask), !o.neg
	return m
}

func compare(o option, f ruleset.Field, ranges ...ruleset.Range) *ruleset.Match {
	return &ruleset.Match{Fields: []ruleset.Field{f}, Ranges: merge(ranges), Negate: o.neg, Text: o.text()}
}

// withoutField emits m with a negation that holds for packets without the
// field, too.
func (b *builder) withoutField(m *ruleset.Match) {
	if !m.Negate {
		b.emit(m)
		return
	}
	m.Negate = false
	b.emit(&ruleset.Any{Of: [][]ruleset.Statement{{m}}, Negate: true, Text: m.Text})
}

// cannotKnow emits an extension whose outcome does not follow from the packet.
func (b *builder) cannotKnow(e *extension, kind string) {
	b.emit(&ruleset.Opaque{Kind: kind, Understood: true, MayFail: true, Text: e.text()})
}

// number is a range of numbers of the field.
func number(f ruleset.Field, from, to uint64) ruleset.Range {
	return ruleset.Range{From: bigEndian(f.Size(), from), To: bigEndian(f.Size(), to)}
}

// bigEndian is n in size bytes; a field longer than a number has it in front.
func bigEndian(size int, n uint64) []byte {
	var buf [8]byte
	binary.BigEndian.PutUint64(buf[:], n)
	out := make([]byte, size)
	copy(out, buf[max(0, 8-size):])
	return out
}
