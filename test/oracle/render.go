package main

import (
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

// matches gives the rule up to two matches in the language of its engine.
func (g *generator) matches(r *rule, family string) {
	n := g.r.IntN(3)
	if r.Verdict == "drop" || r.Verdict == "reject" || r.Verdict == "accept" {
		n = 1 + g.r.IntN(2)
	}
	kinds := g.r.Perm(6)
	v6 := family == "ip6" || family == "inet" && g.chance(50)
	for _, k := range kinds[:n] {
		port := firstPort + g.r.IntN(ports)
		source := clientAddr(v6, g.r.IntN(sources))
		proto := r.Proto
		if proto == "" {
			proto = []string{"udp", "tcp"}[g.r.IntN(2)]
		}
		state := []string{"new", "invalid", "established,related", "new,untracked"}[g.r.IntN(4)]
		size := 30 + g.r.IntN(60)
		dev := []string{"rc", "rs"}[g.r.IntN(2)]
		sel := "ip"
		if source.Is6() {
			sel = "ip6"
		}
		var nft, xt string
		switch k {
		case 0:
			if slices.ContainsFunc(r.Match, func(m string) bool { return strings.Contains(m, "-p ") }) {
				continue
			}
			r.Proto = proto
			switch g.r.IntN(3) {
			case 0:
				nft, xt = fmt.Sprintf("%s dport %d", proto, port), fmt.Sprintf("-p %s --dport %d", proto, port)
			case 1:
				nft, xt = fmt.Sprintf("%s dport %d-%d", proto, port, port+3), fmt.Sprintf("-p %s --dport %d:%d", proto, port, port+3)
			default:
				nft = fmt.Sprintf("%s dport { %d, %d, %d }", proto, port, port+2, port+5)
				xt = fmt.Sprintf("-p %s -m multiport --dports %d,%d,%d", proto, port, port+2, port+5)
			}
		case 1:
			nft, xt = fmt.Sprintf("%s saddr %s", sel, source), "-s "+source.String()
		case 2:
			nft, xt = "ct state "+state, "-m conntrack --ctstate "+strings.ToUpper(state)
		case 3:
			nft, xt = fmt.Sprintf("meta length > %d", size), fmt.Sprintf("-m length --length %d:", size)
		case 4:
			nft, xt = "meta iifname "+dev, "-m mark --mark 0"
		case 5:
			nft, xt = fmt.Sprintf("%s daddr %s", sel, source), "-d "+source.String()
		}
		if g.engine == "nft" {
			r.Match = append(r.Match, nft)
		} else {
			r.Match = append(r.Match, xt)
		}
	}
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
		fmt.Fprintf(&b, "table %s %s {\n", t.Family, t.Name)
		for _, c := range slices.Backward(t.Chains) {
			fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
			if c.Hook != "" {
				fmt.Fprintf(&b, "\t\ttype filter hook %s priority %d; policy %s;\n", c.Hook, c.Prio, c.Policy)
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
	case "vmap":
		var elems []string
		for _, p := range slices.Sorted(maps.Keys(r.Map)) {
			elems = append(elems, fmt.Sprintf("%d : %s", p, r.Map[p]))
		}
		words = append(words, "meta l4proto "+r.Proto)
		verdict = fmt.Sprintf("%s dport vmap { %s }", r.Proto, strings.Join(elems, ", "))
	}
	words = append(words, "counter")
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
	if r.Reset && !slices.ContainsFunc(words, func(m string) bool { return strings.Contains(m, "-p ") }) {
		words = append(words, "-p tcp")
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
	case "count":
	default:
		words = append(words, "-j "+strings.ToUpper(r.Verdict))
	}
	return strings.Join(words, " ")
}
