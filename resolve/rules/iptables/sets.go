package iptables

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// setSpec has the match of ipsets.
func setSpec(_, name string) *spec {
	if name != "set" {
		return nil
	}
	return newSpec(buildSet, "match-set/set=2", "return-nomatch", "update-counters", "update-subcounters",
		"packets-eq=1", "packets-lt=1", "packets-gt=1", "bytes-eq=1", "bytes-lt=1", "bytes-gt=1")
}

// buildSet is set_match_v4 of xt_set.c. A packet that lacks what the set holds is
// not in it, which a negated match holds for.
func buildSet(b *builder, e *extension) error {
	for _, o := range e.options {
		switch o.name {
		case "match-set":
			if err := b.buildMatchSet(o); err != nil {
				return badValue(o, err)
			}
		case "update-counters", "update-subcounters":
			// They change counters that nothing but these options reads.
		default:
			b.emit(&ruleset.Opaque{Kind: "set counters", Understood: true, MayFail: true, Text: o.text()})
		}
	}
	return nil
}

func (b *builder) buildMatchSet(o option) error {
	var source []bool
	for flag := range strings.SplitSeq(o.args[1], ",") {
		switch flag {
		case "src":
			source = append(source, true)
		case "dst":
			source = append(source, false)
		default:
			return fmt.Errorf("%q is neither src nor dst: %w", flag, ErrSyntax)
		}
	}
	set, ok := b.sets[o.args[0]]
	if !ok {
		// Of what it holds nothing is known, so the one field that every packet
		// has stands for all.
		m := compare(o, b.address(source[0]))
		m.Set = &ruleset.Set{Name: o.args[0]}
		b.emit(m)
		return nil
	}
	b.emit(&ruleset.Any{Of: b.setAlternatives(set, source), Negate: o.neg, Text: o.text()})
	return nil
}

func (b *builder) address(source bool) ruleset.Field {
	switch {
	case b.family == "ip" && source:
		return ruleset.IPSource
	case b.family == "ip":
		return ruleset.IPDestination
	case source:
		return ruleset.IP6Source
	}
	return ruleset.IP6Destination
}

// setAlternatives are the ways in which a packet can be in the set, with a field
// of the source or destination for each dimension (ip_set_test of ip_set_core.c).
func (b *builder) setAlternatives(set *ipset.Set, source []bool) (of [][]ruleset.Statement) {
	for _, m := range set.Members {
		// Lists hold no lists: the kernel refuses them.
		if len(m.Members) == 0 {
			of = append(of, b.setAlternatives(m, source)...)
		}
	}
	if set.Type == "list:set" && (!set.Complete || b.parts.filled[set.Name]) {
		of = append(of, []ruleset.Statement{&ruleset.Opaque{
			Kind: set.Type, Understood: true, MayFail: true, Text: set.Name,
		}})
	}
	if set.Type == "list:set" || len(source) < len(set.Dimensions) || set.Family != "" && set.Family != b.family {
		return of
	}
	for _, part := range b.parts.of(set) {
		if part.Complete && !part.Dynamic && len(part.Elements) == 0 {
			continue
		}
		s, known := b.setMatch(set, part, source)
		if !known {
			s = &ruleset.Opaque{Kind: set.Type, Understood: true, MayFail: true, Text: set.Name}
		}
		alternative := []ruleset.Statement{s}
		if h := part.header(b.family, set.Name); h != nil {
			alternative = append(alternative, h)
		}
		of = append(of, alternative)
	}
	return of
}

// setMatch looks the packet up in a part of the set.
func (b *builder) setMatch(set *ipset.Set, part setPart, source []bool) (s ruleset.Statement, known bool) {
	m := &ruleset.Match{Set: part.Set, Text: "--match-set " + quoteWord(set.Name)}
	var mask []byte
	for i, dimension := range set.Dimensions {
		var fields []ruleset.Field
		switch dimension {
		case "ip", "net":
			fields = []ruleset.Field{b.address(source[i])}
		case "port":
			fields = part.port(source[i])
		case "iface":
			fields = []ruleset.Field{ruleset.OutName}
			if source[i] {
				fields[0] = ruleset.InName
			}
		case "mac":
			// That of the destination is looked at by some kernels only.
			if !source[i] {
				return nil, false
			}
			fields = []ruleset.Field{ruleset.SourceMAC}
		case "mark":
			fields = []ruleset.Field{ruleset.Mark}
		default:
			return nil, false
		}
		for _, f := range fields {
			m.Fields = append(m.Fields, f)
			if f == ruleset.Mark {
				mask = append(mask, bigEndian(4, uint64(set.MarkMask))...)
			} else {
				mask = append(mask, bigEndian(f.Size(), 1<<64-1)...)
				for j := len(mask) - f.Size(); j < len(mask); j++ {
					mask[j] = 0xff
				}
			}
		}
	}
	if set.Type == "hash:ip,mark" {
		m.Mask = mask
	}
	return m, true
}
