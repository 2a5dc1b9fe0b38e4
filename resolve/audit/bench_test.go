package audit

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// BenchmarkLook examines 10,000 rules of one chain: of the kinds that programs
// write, and of those that hurt an index most.
func BenchmarkLook(b *testing.B) {
	const n = 10_000
	port := func(from, to uint16) *ruleset.Match {
		return match(ruleset.DestinationPort, binary.BigEndian.AppendUint16(nil, from), binary.BigEndian.AppendUint16(nil, to))
	}
	source := func(a uint32) *ruleset.Match {
		v := binary.BigEndian.AppendUint32(nil, a)
		return match(ruleset.IPSource, v, v)
	}
	network := func(a uint32, length int) *ruleset.Match {
		low := uint32(1)<<(32-length) - 1
		return match(ruleset.IPSource, binary.BigEndian.AppendUint32(nil, a&^low), binary.BigEndian.AppendUint32(nil, a|low))
	}
	tcp := match(ruleset.L4Protocol, []byte{6}, []byte{6})
	for name, rule := range map[string]func(i int) []ruleset.Statement{
		"addresses": func(i int) []ruleset.Statement { return list(source(uint32(i)), tcp, port(80, 80)) },
		"networks":  func(i int) []ruleset.Statement { return list(network(uint32(i)*2654435761, 8+i%25), tcp, port(80, 80)) },
		"ranges":    func(i int) []ruleset.Statement { return list(tcp, port(uint16(i*6), uint16(i*6+5))) },
		"nested":    func(i int) []ruleset.Statement { return list(tcp, port(uint16(30000-i), uint16(30000+i))) },
		"services": func(i int) []ruleset.Statement {
			return list(source(uint32(i%100)), tcp, port(uint16(i/100), uint16(i/100)))
		},
	} {
		t := &ruleset.Table{Engine: ruleset.IPTablesNFT, Family: "ip", Name: "filter"}
		c := &ruleset.Chain{Table: t, Name: "INPUT", Hook: "input", Type: "filter", Policy: "drop"}
		t.Chains = append(t.Chains, c)
		for i := range n {
			add(c, append(rule(i), &ruleset.Verdict{Kind: ruleset.Accept})...)
		}
		b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Look(Subject{Rulesets: []*ruleset.Ruleset{{Tables: []*ruleset.Table{t}}}})
			}
		})
	}
}

func match(f ruleset.Field, from, to []byte) *ruleset.Match {
	return &ruleset.Match{Fields: []ruleset.Field{f}, Ranges: []ruleset.Range{{From: from, To: to}}}
}

func list(s ...ruleset.Statement) []ruleset.Statement { return s }

func add(c *ruleset.Chain, s ...ruleset.Statement) *ruleset.Rule {
	r := &ruleset.Rule{Chain: c, Number: len(c.Rules) + 1, Read: true, Statements: s}
	c.Rules = append(c.Rules, r)
	return r
}
