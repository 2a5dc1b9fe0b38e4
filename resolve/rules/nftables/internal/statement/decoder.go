// Package statement turns what nf_tables' rules and sets are made of, netlink
// expressions and elements, into the statements and elements of the ruleset
// model.
//
// A rule's expressions load registers, change them and compare them; the decoder
// follows the registers, so that a load and what is done with it become one
// [ruleset.Match]. Nothing is passed over: an expression that is not known, and
// a value that cannot be followed, becomes a [ruleset.Opaque] that may do what
// the expression might.
package statement

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Table is where a rule finds what it names.
type Table interface {
	// Chain is nil where there is none of that name.
	Chain(name []byte) *ruleset.Chain
	Set(name []byte) *Set
}

// Body is what a rule does.
type Body struct {
	Statements []ruleset.Statement
	// Compat: x_tables code has a part in it.
	Compat bool
	// Packets is the rule's counter, if Counts.
	Packets uint64
	Counts  bool
}

// Decoder decodes rules one after another. The zero value is ready for use.
type Decoder struct {
	// Lookups are the statements so far whose text lacks the set's elements.
	Lookups []Lookup

	family uint8 // of the table
	table  Table

	registers registers
	values    []*value // all that the rule loaded
	body      Body
	context   context
}

// context is what earlier matches of the rule made sure of.
type context struct {
	network   uint8 // NFPROTO_IPV4 or NFPROTO_IPV6; 0 where not known
	transport uint8 // IPPROTO_*; 0 where not known
	// by are the matches that tell so.
	linkBy, networkBy, transportBy *ruleset.Match
	// connection is the family that addresses of conntrack are of; 0 where
	// not known.
	connection uint8
}

// Decode reads the NFTA_RULE_EXPRESSIONS of a rule of that family's table.
func (d *Decoder) Decode(family uint8, table Table, expressions []byte) (Body, error) {
	d.family, d.table = family, table
	d.registers, d.body = registers{}, Body{}
	d.values = d.values[:0]
	d.context = context{}
	if family == unix.NFPROTO_IPV4 || family == unix.NFPROTO_IPV6 {
		d.context.network = family
	}
	a := nlattr.Walk(expressions)
	for a.Next() {
		if a.Type != unix.NFTA_LIST_ELEM {
			continue
		}
		name, data, ok := nlattr.Expression(&a)
		if !ok {
			break
		}
		d.expression(string(name), data, &a)
	}
	d.settle()
	return d.body, a.Err()
}

// expression is the one place that knows all expressions, by nft_expr_type.name.
func (d *Decoder) expression(name string, data []byte, outer *nlattr.Attrs) {
	switch name {
	case "payload":
		d.payload(data, outer)
	case "meta":
		d.meta(data, outer)
	case "ct":
		d.ct(data, outer)
	case "fib":
		d.fib(data, outer)
	case "exthdr":
		d.exthdr(data, outer)
	case "rt", "socket", "osf", "xfrm", "tunnel", "numgen", "hash":
		d.unknowable(name, data, outer)
	case "bitwise":
		d.bitwise(data, outer)
	case "byteorder":
		d.byteorder(data, outer)
	case "cmp":
		d.compare(data, outer)
	case "range":
		d.between(data, outer)
	case "lookup":
		d.lookup(data, outer)
	case "immediate":
		d.immediate(data, outer)
	case "reject":
		d.reject(data, outer)
	case "queue":
		d.queue(data, outer)
	case "nat", "masq", "redir":
		d.nat(name, data, outer)
	case "counter":
		d.counter(data, outer)
	case "log", "last", "dup":
		// Beside the packet's way.
	default:
		d.step(name, data, outer)
	}
}

func (d *Decoder) add(s ruleset.Statement) { d.body.Statements = append(d.body.Statements, s) }

// load puts a value into a register. A value that no register can hold ends what
// is known of the rule.
func (d *Decoder) load(register uint32, v value) {
	kept := &v
	d.values = append(d.values, kept)
	if v.constant != nil {
		kept.used = true
	}
	if !d.registers.set(register, kept) {
		d.add(&ruleset.Opaque{Kind: "register", MayFail: true, MayDrop: true, MayAccept: true})
	}
}

// settle makes matches of values that were loaded and never asked for: loading
// one that the packet lacks ends the rule already.
func (d *Decoder) settle() {
	for _, v := range d.values {
		if v.used {
			continue
		}
		v.used = true
		switch {
		case v.unknown != "":
			d.add(&ruleset.Opaque{Kind: v.unknown, Understood: v.understood, MayFail: true, Text: v.text})
		case !alwaysThere(v.field) && !d.matched(v.field):
			n := v.field.Size()
			d.add(&ruleset.Match{
				Fields:  []ruleset.Field{v.field},
				Ranges:  []ruleset.Range{{From: filled(n, 0), To: filled(n, 0xff)}},
				Implied: true,
			})
		}
	}
	d.values = d.values[:0]
}

// matched reports whether the rule has a match of that field already.
func (d *Decoder) matched(f ruleset.Field) bool {
	for _, s := range d.body.Statements {
		if m, ok := s.(*ruleset.Match); ok && slices.Contains(m.Fields, f) {
			return true
		}
	}
	return false
}

// alwaysThere reports whether loading the field never ends the rule.
func alwaysThere(f ruleset.Field) bool {
	switch f {
	case ruleset.EtherType, ruleset.NFProto, ruleset.Length, ruleset.Mark, ruleset.InName, ruleset.OutName,
		ruleset.InIndex, ruleset.OutIndex, ruleset.PacketType, ruleset.Priority, ruleset.CPU, ruleset.CTState:
		return true
	}
	return false
}

func (d *Decoder) counter(data []byte, outer *nlattr.Attrs) {
	a := nlattr.Walk(data)
	for a.Next() {
		if a.Type == unix.NFTA_COUNTER_PACKETS {
			d.body.Packets += a.Uint64()
			d.body.Counts = true
		}
	}
	outer.Bad = outer.Bad || a.Bad
}
