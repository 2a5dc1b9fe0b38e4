package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (r *rule) targets() []string {
	if r.Target != "" {
		return []string{r.Target}
	}
	var to []string
	for _, v := range r.Map {
		if _, name, ok := strings.Cut(v, " "); ok {
			to = append(to, name)
		}
	}
	return to
}

// drops tells whether the rule, once its counter moved by s, dropped it.
func (r *rule) drops(s spec) bool {
	return r.Verdict == "drop" || r.Verdict == "reject" || r.Verdict == "vmap" && r.Map[s.Dport] == "drop"
}

func (s *ruleset) text(family string) string {
	if s.Engine == "nft" {
		return s.nft()
	}
	return s.restore(family)
}

// nft is the ruleset in the language of nft -f.
func (s *ruleset) nft() string {
	var b strings.Builder
	b.WriteString("flush ruleset\n")
	for _, t := range s.Tables {
		fmt.Fprintf(&b, "table %s %s {\n%s", t.Family, t.Name, t.setText)
		for _, c := range slices.Backward(t.Chains) {
			fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
			if c.Hook != "" {
				fmt.Fprintf(&b, "\t\ttype %s hook %s priority %d; policy %s;\n", cmp.Or(c.Type, "filter"), c.Hook, c.Prio, c.Policy)
			}
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "\t\t%s\n", r.nft())
			}
			b.WriteString("\t}\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func (r *rule) nft() string {
	words := slices.Clone(r.Match)
	verdict := r.Verdict
	switch r.Verdict {
	case "count":
		verdict = ""
	case "jump", "goto":
		verdict += " " + r.Target
	case "reject":
		if r.Reset {
			words = append(words, "meta l4proto tcp")
			verdict = "reject with tcp reset"
		}
	case "nat":
		verdict = ""
	case "vmap":
		var elems []string
		for _, p := range slices.Sorted(maps.Keys(r.Map)) {
			elems = append(elems, fmt.Sprintf("%d : %s", p, r.Map[p]))
		}
		words = append(words, "meta l4proto "+r.Proto)
		verdict = fmt.Sprintf("%s dport vmap { %s }", r.Proto, strings.Join(elems, ", "))
	}
	words = append(words, "counter")
	words = append(words, r.Do...)
	if verdict != "" {
		words = append(words, verdict)
	}
	return strings.Join(words, " ") + fmt.Sprintf(" comment %q", r.ID)
}

// restore is the ruleset of one family for iptables-restore.
func (s *ruleset) restore(family string) string {
	var b strings.Builder
	for _, t := range s.Tables {
		if t.Family != family {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", t.Name)
		for _, c := range t.Chains {
			policy := "-"
			if c.Policy != "" {
				policy = strings.ToUpper(c.Policy)
			}
			fmt.Fprintf(&b, ":%s %s [0:0]\n", c.Name, policy)
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.Name, r.xt())
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

func (r *rule) xt() string {
	words := slices.Clone(r.Match)
	if r.Proto != "" {
		words = append([]string{"-p " + r.Proto}, words...)
	}
	words = append(words, "-m comment --comment "+r.ID)
	switch r.Verdict {
	case "jump":
		words = append(words, "-j "+r.Target)
	case "goto":
		words = append(words, "-g "+r.Target)
	case "reject":
		words = append(words, "-j REJECT")
		if r.Reset {
			words = append(words, "--reject-with tcp-reset")
		}
	case "count", "nat":
		words = append(words, r.Do...)
	default:
		words = append(words, "-j "+strings.ToUpper(r.Verdict))
	}
	return strings.Join(words, " ")
}
