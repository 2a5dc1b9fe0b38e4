package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// rule is one rule; its ID is unique in the run and stands in its comment.
type rule struct {
	ID      string
	Match   []string
	Verdict string            // drop reject accept return count vmap, or jump and goto with Target
	Target  string            // of jump and goto
	Reset   bool              // reject with a TCP reset
	Map     map[uint16]string // of vmap: verdicts by destination port
	Proto   string            // what its matches need: udp, tcp, icmp or icmpv6
	Do      []string          // statements without a verdict
	Cause   *cause            // of a drop that was planted
}

type chain struct {
	Name   string
	Hook   string // of a base chain
	Type   string // filter where empty
	Prio   int
	Policy string
	Rules  []*rule
}

type table struct {
	Family string
	Name   string
	Chains []*chain
	// text is that of its sets.
	setText string
}

// ruleset is what one engine loads at once.
type ruleset struct {
	Engine string
	Tables []*table
}

// generator makes rulesets.
type generator struct {
	r      *rand.Rand
	engine string
	next   int
	// wide has it use matches whose outcome changes from packet to packet.
	wide bool
}

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *generator) ruleset() *ruleset {
	s := &ruleset{Engine: g.engine}
	if g.engine == "nft" {
		for i := range 1 + g.r.IntN(3) {
			s.Tables = append(s.Tables, g.nftTable(i))
		}
		g.plant(s.Tables[0])
		if g.wide && g.chance(40) {
			s.Tables = append(s.Tables, g.natTable([]string{"ip", "ip6"}[g.r.IntN(2)]))
		}
		return s
	}
	for _, family := range []string{"ip", "ip6"} {
		s.Tables = append(s.Tables, g.xtTable(family, "filter", 0, "INPUT", "FORWARD", "OUTPUT"))
		g.plant(s.Tables[len(s.Tables)-1])
		if g.chance(40) {
			s.Tables = append(s.Tables, g.xtTable(family, "mangle", -150, "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
		}
		if g.chance(20) {
			s.Tables = append(s.Tables, g.xtTable(family, "raw", -300, "PREROUTING", "OUTPUT"))
		}
		if g.wide && g.chance(40) {
			s.Tables = append(s.Tables, g.natTable(family))
		}
		// The empty security table tells what outlived the others.
		t := &table{Family: family, Name: "security"}
		for _, n := range []string{"INPUT", "FORWARD", "OUTPUT"} {
			t.Chains = append(t.Chains, &chain{Name: n, Hook: hookOf[n], Prio: 50, Policy: "accept"})
		}
		s.Tables = append(s.Tables, t)
	}
	return s
}

var hookOf = map[string]string{
	"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output", "POSTROUTING": "postrouting",
}

func (g *generator) policy(percent int) string {
	if g.chance(percent) {
		return "drop"
	}
	return "accept"
}

// nftTable makes table number i. Tables share hooks, never priorities, so that
// a tap fits between.
func (g *generator) nftTable(i int) *table {
	t := &table{Name: fmt.Sprintf("t%d", i), Family: []string{"inet", "inet", "ip", "ip6"}[g.r.IntN(4)]}
	hooks, reject, policy := []string{"input", "forward", "output"}, true, 40
	if i > 0 && g.chance(35) {
		hooks, reject, policy = []string{"prerouting", "postrouting"}, false, 10
	}
	prio := []int{-310, -110, -10, 10}[g.r.IntN(4)] + 107*i
	for _, h := range hooks {
		if g.chance(85) {
			t.Chains = append(t.Chains, &chain{Name: "b_" + h, Hook: h, Prio: prio, Policy: g.policy(policy)})
		}
	}
	if len(t.Chains) == 0 {
		t.Chains = append(t.Chains, &chain{Name: "b_" + hooks[0], Hook: hooks[0], Prio: prio, Policy: "drop"})
	}
	g.fill(t, reject)
	t.setText = (&draw{generator: g, table: t, rule: &rule{}}).sets()
	return t
}

func (g *generator) xtTable(family, name string, prio int, chains ...string) *table {
	t := &table{Family: family, Name: name}
	policy := 10
	if name == "filter" {
		policy = 50
	}
	for _, c := range chains {
		t.Chains = append(t.Chains, &chain{Name: c, Hook: hookOf[c], Prio: prio, Policy: g.policy(policy)})
	}
	g.fill(t, name == "filter")
	return t
}

// fill adds user chains and rules. A chain jumps only to later ones, and every
// base chain may jump to every user chain, so that hooks share them.
func (g *generator) fill(t *table, reject bool) {
	base := len(t.Chains)
	for i := range 1 + g.r.IntN(6) {
		t.Chains = append(t.Chains, &chain{Name: fmt.Sprintf("u%d", i)})
	}
	for i, c := range t.Chains {
		for range 1 + g.r.IntN(6) {
			c.Rules = append(c.Rules, g.rule(t, t.Chains[max(i+1, base):], reject))
		}
		// So long that droptrace looks a rule's chain up among those it knows.
		if g.chance(15) {
			for range 20 {
				c.Rules = append(c.Rules, g.idle(t))
			}
		}
	}
}

// idle is a rule that only counts.
func (g *generator) idle(t *table) *rule {
	g.next++
	r := &rule{ID: fmt.Sprintf("o%d.", g.next), Verdict: "count"}
	g.matches(r, t)
	return r
}

func (g *generator) rule(t *table, later []*chain, reject bool) *rule {
	g.next++
	r := &rule{ID: fmt.Sprintf("o%d.", g.next)}
	n := g.r.IntN(100)
	switch {
	case n < 25:
		r.Verdict = "drop"
	case n < 38 && reject:
		r.Verdict, r.Reset = "reject", g.chance(30)
	case n < 70 && len(later) > 0:
		r.Verdict, r.Target = "jump", later[g.r.IntN(len(later))].Name
		if g.chance(30) {
			r.Verdict = "goto"
		}
	case n < 80 && g.engine == "nft":
		g.vmap(r, later)
		return r
	case n < 84:
		r.Verdict = "accept"
	case n < 88:
		r.Verdict = "return"
	default:
		r.Verdict = "count"
	}
	if r.Reset {
		r.Proto = "tcp"
	}
	g.matches(r, t)
	return r
}

func (g *generator) vmap(r *rule, later []*chain) {
	r.Verdict, r.Proto, r.Map = "vmap", []string{"udp", "tcp"}[g.r.IntN(2)], map[uint16]string{}
	for range 1 + g.r.IntN(5) {
		v := []string{"drop", "drop", "accept", "jump", "goto"}[g.r.IntN(5)]
		if v == "jump" || v == "goto" {
			if len(later) == 0 {
				continue
			}
			v += " " + later[g.r.IntN(len(later))].Name
		}
		r.Map[firstPort+uint16(g.r.IntN(ports))] = v
	}
	if len(r.Map) == 0 {
		r.Map[firstPort] = "drop"
	}
}

// reachable tells the base chains that lead to each chain.
func (t *table) reachable() map[string][]*chain {
	m := map[string][]*chain{}
	byName := map[string]*chain{}
	for _, c := range t.Chains {
		byName[c.Name] = c
	}
	var walk func(base, c *chain)
	walk = func(base, c *chain) {
		if c == nil || slices.Contains(m[c.Name], base) {
			return
		}
		m[c.Name] = append(m[c.Name], base)
		for _, r := range c.Rules {
			for _, to := range r.targets() {
				walk(base, byName[to])
			}
		}
	}
	for _, c := range t.Chains {
		if c.Hook != "" {
			walk(c, c)
		}
	}
	return m
}
