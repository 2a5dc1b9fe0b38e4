package iptables

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// fingerprint is the same for rules that are the same to iptables: what they do,
// and for what the statements leave out the words.
func fingerprint(r *ruleset.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q", r.Comment)
	if r.Chain != nil {
		b.WriteString(passing(r))
	}
	writeStatements(&b, r.Statements)
	return b.String()
}

// passing is what of a rule's target its statements do not say.
func passing(r *ruleset.Rule) string {
	family := r.Chain.Table.Family
	words, err := splitSave(r.Text)
	if err != nil || len(words) < 2 {
		return r.Text
	}
	parsed, err := newSpecs(family).parse(words[2:], false)
	if err != nil || parsed.target == nil {
		return ""
	}
	e := parsed.target
	switch {
	case e.spec == nil: // a chain
		return fmt.Sprintf("%q %v", e.name, parsed.goTo)
	case e.name == "REJECT":
		return rejectWith(family, e)
	case e.name == "NFQUEUE", passingSpec(family, e.name) != nil:
		return e.text()
	}
	return ""
}

// rejectWith is the answer, named as iptables-save does where it is the default.
func rejectWith(family string, e *extension) string {
	if o, ok := e.find("reject-with"); ok {
		return o.arg()
	}
	if family == "ip6" {
		return "icmp6-port-unreachable"
	}
	return "icmp-port-unreachable"
}

func writeStatements(b *strings.Builder, statements []ruleset.Statement) {
	for _, s := range statements {
		b.WriteByte(' ')
		switch s := s.(type) {
		case *ruleset.Match:
			set := ""
			if s.Set != nil {
				set = s.Set.Name
			}
			fmt.Fprintf(b, "match %v %x %x %q %v", s.Fields, s.Mask, s.Ranges, set, s.Negate)
		case *ruleset.Any:
			fmt.Fprintf(b, "any %v", s.Negate)
			for _, of := range s.Of {
				b.WriteString(" (")
				writeStatements(b, of)
				b.WriteString(")")
			}
		case *ruleset.Header:
			fmt.Fprintf(b, "header %d %v %v", s.Size, s.Options, s.LaterFragments)
		case *ruleset.Verdict:
			fmt.Fprintf(b, "verdict %d %v", s.Kind, s.Bypass)
		case *ruleset.Opaque:
			fmt.Fprintf(b, "opaque %q", s.Text)
		case *ruleset.Assign:
			fmt.Fprintf(b, "assign %d %x %x %v %d", s.Field, s.Mask, s.Value, s.Known, s.From)
		case *ruleset.NAT:
			fmt.Fprintf(b, "nat %d %v-%v %d-%d", s.Kind, s.From, s.To, s.FromPort, s.ToPort)
		default:
			fmt.Fprintf(b, "%T", s)
		}
	}
}
