package iptables

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// incompatible reads what iptables-nft-save prints in place of a table that nft
// has put rules into which iptables has no words for.
func incompatible(line string) (table string, ok bool) {
	rest, ok := strings.CutPrefix(line, "# Table `")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "' is incompatible, use 'nft' tool.")
}

// addIncompatible adds such a table: at each of its hooks anything may happen.
func (p *fileParser) addIncompatible(name, line string) {
	t := &ruleset.Table{Engine: ruleset.IPTablesNFT, Family: p.Family, Name: name}
	if t.Family == "" {
		t.Family = p.family
	}
	if t.Family == "" {
		t.Family = "ip"
	}
	for _, b := range builtins(t.Engine, name) {
		c := newChain(t, b.name, "accept")
		r := &ruleset.Rule{Chain: c, Number: 1, CanDrop: true, Read: true, Text: line}
		r.Statements = []ruleset.Statement{&ruleset.Opaque{
			Kind: "table", MayFail: true, MayDrop: true, MayAccept: true, Text: line,
		}}
		c.Rules = []*ruleset.Rule{r}
		t.Chains = append(t.Chains, c)
	}
	if len(t.Chains) > 0 {
		p.out.Tables = append(p.out.Tables, t)
	}
}
