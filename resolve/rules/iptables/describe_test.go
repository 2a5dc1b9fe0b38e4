package iptables

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// describe writes statements as tests state them: values in hexadecimal, ! for
// Negate, what an Opaque may do by letters (f fail, d drop, a accept, ? not
// understood).
func describe(statements []ruleset.Statement) string {
	var parts []string
	for _, s := range statements {
		parts = append(parts, describeOne(s))
	}
	return strings.Join(parts, "; ")
}

func describeOne(s ruleset.Statement) string {
	switch s := s.(type) {
	case *ruleset.Match:
		return describeMatch(s)
	case *ruleset.Any:
		var of []string
		for _, statements := range s.Of {
			of = append(of, describe(statements))
		}
		return not(s.Negate) + "any(" + strings.Join(of, " | ") + ")"
	case *ruleset.Header:
		return describeHeader(s)
	case *ruleset.Verdict:
		kinds := []string{"", "accept", "drop", "reject", "return", "continue", "jump", "goto", "queue", "stolen"}
		text := kinds[s.Kind]
		if s.Target != nil {
			text += " " + s.Target.Name
		}
		if s.Bypass {
			text += " bypass"
		}
		return text
	case *ruleset.Assign:
		text := fmt.Sprintf("%s = & %x ^ %x", name(s.Field), s.Mask, s.Value)
		if s.From != 0 {
			text += " of " + name(s.From)
		}
		if !s.Known {
			text = name(s.Field) + " = ?"
		}
		return text
	case *ruleset.NAT:
		kinds := []string{"", "snat", "dnat", "masquerade", "redirect", "netmap"}
		text := kinds[s.Kind]
		if s.From.IsValid() {
			text += fmt.Sprintf(" %s-%s", s.From, s.To)
		}
		if s.ToPort != 0 {
			text += fmt.Sprintf(" :%d-%d", s.FromPort, s.ToPort)
		}
		if !s.Known {
			text += " ?"
		}
		return text
	case *ruleset.NoTrack:
		return "notrack"
	case *ruleset.Opaque:
		return describeOpaque(s)
	}
	return fmt.Sprintf("%T", s)
}

func describeMatch(m *ruleset.Match) string {
	var fields, values []string
	for _, f := range m.Fields {
		fields = append(fields, name(f))
	}
	for _, r := range m.Ranges {
		v := hex.EncodeToString(r.From)
		if to := hex.EncodeToString(r.To); to != v {
			v += "-" + to
		}
		values = append(values, v)
	}
	text := not(m.Negate) + strings.Join(fields, " . ")
	if m.Mask != nil {
		text += " & " + hex.EncodeToString(m.Mask)
	}
	if m.Set != nil {
		return fmt.Sprintf("%s @%s of %d %v", text, m.Set.Name, len(m.Set.Elements), m.Set.Complete)
	}
	return text + " " + strings.Join(values, ",")
}

func describeHeader(h *ruleset.Header) string {
	text := fmt.Sprintf("header %d", h.Size)
	if h.Options {
		text += " options"
	}
	if h.LaterFragments {
		text += " later"
	}
	if h.FragmentOverwrite {
		text += " overwrite"
	}
	return text + []string{" fails", " drops", " unknown"}[h.Short]
}

func describeOpaque(o *ruleset.Opaque) string {
	text := "opaque " + o.Kind + " "
	if o.MayFail {
		text += "f"
	}
	if o.MayDrop {
		text += "d"
	}
	if o.MayAccept {
		text += "a"
	}
	if !o.Understood {
		text += "?"
	}
	return text
}

func not(negate bool) string {
	if negate {
		return "!"
	}
	return ""
}

// name adds names that fields of conntrack do not have in messages.
func name(f ruleset.Field) string {
	switch f {
	case ruleset.CTOrigSource:
		return "ct orig src"
	case ruleset.CTOrigDest:
		return "ct orig dst"
	case ruleset.CTReplySource:
		return "ct reply src"
	case ruleset.CTReplyDest:
		return "ct reply dst"
	case ruleset.CTOrigSrcPort:
		return "ct orig sport"
	case ruleset.CTOrigDestPort:
		return "ct orig dport"
	case ruleset.CTReplySrcPort:
		return "ct reply sport"
	case ruleset.CTReplyDestPort:
		return "ct reply dport"
	case ruleset.CTProtocol:
		return "ct proto"
	case ruleset.CTExpiration:
		return "ct expiration"
	case ruleset.InPhysical:
		return "physin"
	case ruleset.OutPhysical:
		return "physout"
	case ruleset.Priority:
		return "priority"
	case ruleset.CPU:
		return "cpu"
	case ruleset.InGroup:
		return "iifgroup"
	case ruleset.RoutingClass:
		return "realm"
	}
	return f.String()
}

// parseRule reads one rule in a table with a chain `other`.
func parseRule(t testing.TB, family string, engine ruleset.Engine, table, rule string) *ruleset.Rule {
	t.Helper()
	chain := builtins(engine, table)[0].name
	input := fmt.Sprintf("*%s\n:%s ACCEPT [0:0]\n:other - [0:0]\n-A %s %s\nCOMMIT\n", table, chain, chain, rule)
	rs, err := Parse(strings.NewReader(input), Options{Family: family, Engine: engine})
	if err != nil {
		t.Fatalf("%s: %v", rule, err)
	}
	return rs.Tables[0].Chains[0].Rules[0]
}
