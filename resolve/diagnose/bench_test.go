package diagnose

import (
	"fmt"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// large is 10,000 accept rules for other services in one chain, a near miss
// among them.
func large() (*model, *ruleset.Chain) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	for i := range 9_998 {
		port := uint16(1024 + i)
		m.rule("INPUT", fmt.Sprintf("-s 10.0.%d.%d -p tcp -m tcp --dport %d -j ACCEPT", i>>8, i&255, port),
			with(tcp(port), src(fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255)), accept)...)
	}
	m.rule("INPUT", "", with(tcp(80), src("10.0.0.0/8"), accept)...)
	m.rule("INPUT", "", reject)
	return m, base
}

func BenchmarkDiagnose10kRules(b *testing.B) {
	m, base := large()
	c := dropAt(web, base, base.Rules[len(base.Rules)-1], m.rulesets())
	for b.Loop() {
		if w := Diagnose(c); len(w) != 1 || w[0].Fix == "" {
			b.Fatalf("%+v", w)
		}
	}
}

func BenchmarkDiagnoseFewRules(b *testing.B) {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("INPUT", "input", "drop")
	m.rule("INPUT", "", with(tcp(80), src("10.0.0.0/8"), accept)...)
	c := dropAt(web, base, nil, m.rulesets())
	for b.Loop() {
		if w := Diagnose(c); len(w) != 1 || w[0].Fix == "" {
			b.Fatalf("%+v", w)
		}
	}
}
