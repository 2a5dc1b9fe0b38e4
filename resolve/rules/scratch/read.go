package scratch

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ReadNFT reads what nf_tables has been loaded with. Where nft wrote the index
// of an interface (iif eth0), which here is a stand-in's, the model compares its
// name, as the ruleset's author did.
func (n *Namespace) ReadNFT(ctx context.Context) (*ruleset.Ruleset, error) {
	rules, err := nftables.ReadModel(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("read scratch namespace: %w", err)
	}
	names, err := n.Devices()
	if err != nil {
		return nil, err
	}
	naming := naming{names: names}
	for _, t := range rules.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				naming.rule(r)
			}
		}
	}
	return rules, nil
}

// naming replaces indexes of interfaces by names.
type naming struct{ names map[uint32]string }

func (n naming) rule(r *ruleset.Rule) {
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *ruleset.Match:
			n.match(s)
		case *ruleset.VerdictMap:
			if set, ok := n.set(s.Fields, s.Mask, s.Set); ok {
				s.Fields, s.Set = named(s.Fields), set
			}
		}
	}
}

func (n naming) match(m *ruleset.Match) {
	if m.Set != nil {
		if set, ok := n.set(m.Fields, m.Mask, m.Set); ok {
			m.Text = setText(m, set)
			m.Fields, m.Set = named(m.Fields), set
		}
		return
	}
	if m.Mask != nil || !hasIndex(m.Fields) {
		return
	}
	ranges := make([]ruleset.Range, 0, len(m.Ranges))
	for _, r := range m.Ranges {
		converted, ok := n.convert(m.Fields, r)
		if !ok {
			return // more or less than an index: it stays a number
		}
		ranges = append(ranges, converted)
	}
	if name, ok := n.only(m); ok {
		m.Text = name
	}
	m.Fields, m.Ranges = named(m.Fields), ranges
}

// only is the text of a match of one index.
func (n naming) only(m *ruleset.Match) (string, bool) {
	if len(m.Fields) != 1 || len(m.Ranges) != 1 {
		return "", false
	}
	op := " "
	if m.Negate {
		op = " != "
	}
	return fmt.Sprintf("%s%s%q", m.Fields[0], op, n.names[binary.BigEndian.Uint32(m.Ranges[0].From)]), true
}

// set is the set with names in it. The table's own stays as it was.
func (n naming) set(fields []ruleset.Field, mask []byte, s *ruleset.Set) (*ruleset.Set, bool) {
	if mask != nil || !hasIndex(fields) {
		return nil, false
	}
	copied := *s
	copied.Elements = make([]ruleset.Element, 0, len(s.Elements))
	for _, e := range s.Elements {
		if !e.CatchAll {
			converted, ok := n.convert(fields, e.Range)
			if !ok {
				return nil, false
			}
			e.Range = converted
		}
		copied.Elements = append(copied.Elements, e)
	}
	slices.SortFunc(copied.Elements, func(a, b ruleset.Element) int { return bytes.Compare(a.From, b.From) })
	return &copied, true
}

// setText is the text of a match with interfaces: of a rule's own set its names.
func setText(m *ruleset.Match, named *ruleset.Set) string {
	if len(m.Fields) != 1 || !named.Anonymous {
		return m.Text
	}
	var list []string
	for _, e := range named.Elements {
		list = append(list, strconv.Quote(string(bytes.TrimRight(e.From, "\x00"))))
	}
	op := " "
	if m.Negate {
		op = " != "
	}
	return m.Fields[0].String() + op + "{ " + strings.Join(list, ", ") + " }"
}

// convert replaces the indexes in a range. ok is false where one is not a single
// interface that exists.
func (n naming) convert(fields []ruleset.Field, r ruleset.Range) (out ruleset.Range, ok bool) {
	from, to := r.From, r.To
	for _, f := range fields {
		size := f.Size()
		low, high := from[:size], to[:size]
		from, to = from[size:], to[size:]
		if !isIndex(f) {
			out.From, out.To = append(out.From, low...), append(out.To, high...)
			continue
		}
		name, known := n.names[binary.BigEndian.Uint32(low)]
		if !known || !bytes.Equal(low, high) {
			return out, false
		}
		padded := make([]byte, ruleset.InName.Size())
		copy(padded, name)
		out.From, out.To = append(out.From, padded...), append(out.To, padded...)
	}
	return out, true
}

func isIndex(f ruleset.Field) bool { return f == ruleset.InIndex || f == ruleset.OutIndex }

func hasIndex(fields []ruleset.Field) bool {
	for _, f := range fields {
		if isIndex(f) {
			return true
		}
	}
	return false
}

func named(fields []ruleset.Field) []ruleset.Field {
	out := make([]ruleset.Field, len(fields))
	for i, f := range fields {
		switch f {
		case ruleset.InIndex:
			f = ruleset.InName
		case ruleset.OutIndex:
			f = ruleset.OutName
		}
		out[i] = f
	}
	return out
}
