package main

import "fmt"

// natTable makes a table that translates addresses. Ports stay: truth knows a
// packet's.
func (g *generator) natTable(family string) *table {
	t := &table{Family: family, Name: "nat"}
	names := []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
	for _, n := range names {
		prio := -100
		if n == "INPUT" || n == "POSTROUTING" {
			prio = 100
		}
		c := &chain{Name: n, Hook: hookOf[n], Type: "nat", Prio: prio, Policy: "accept"}
		if g.engine == "nft" {
			c.Name = "n_" + c.Hook
		}
		for range g.r.IntN(4) {
			c.Rules = append(c.Rules, g.natRule(t, n))
		}
		t.Chains = append(t.Chains, c)
	}
	return t
}

func (g *generator) natRule(t *table, hook string) *rule {
	g.next++
	r := &rule{ID: fmt.Sprintf("o%d.", g.next), Verdict: "nat"}
	d := &draw{generator: g, table: t, rule: r, v6: t.Family == "ip6"}
	if g.chance(50) {
		r.Proto = []string{"udp", "tcp"}[g.r.IntN(2)]
	}
	if g.chance(60) {
		kinds := d.nftKinds()
		if g.engine != "nft" {
			kinds = d.xtKinds()
		}
		if m := kinds[g.r.IntN(len(kinds))](); m != "" {
			r.Match = append(r.Match, m)
		}
	}
	to := addr(d.v6, 2, 2)
	if g.chance(50) {
		to = addr(d.v6, 1, 1)
	}
	from := addr(d.v6, 2, 1)
	redirect := g.chance(30) && r.Proto != ""
	nft, xt := fmt.Sprintf("dnat to %s", to), fmt.Sprintf("-j DNAT --to-destination %s", to)
	switch {
	case (hook == "INPUT" || hook == "POSTROUTING") && g.chance(30) && hook == "POSTROUTING":
		nft, xt = "masquerade", "-j MASQUERADE"
	case hook == "INPUT" || hook == "POSTROUTING":
		nft, xt = fmt.Sprintf("snat to %s", from), fmt.Sprintf("-j SNAT --to-source %s", from)
	case redirect:
		nft, xt = "redirect", "-j REDIRECT"
	}
	if g.engine == "nft" {
		if r.Proto != "" {
			r.Match = append(r.Match, "meta l4proto "+r.Proto)
		}
		r.Do = []string{nft}
	} else {
		r.Do = []string{xt}
	}
	return r
}
