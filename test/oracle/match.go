package main

import (
	"fmt"
	"net/netip"
	"strings"
)

// draw is what one rule's matches are made of.
type draw struct {
	*generator
	table *table
	rule  *rule
	v6    bool
}

// matches gives the rule up to three matches in the language of its engine.
func (g *generator) matches(r *rule, t *table) {
	d := &draw{generator: g, table: t, rule: r, v6: t.Family == "ip6" || t.Family == "inet" && g.chance(50)}
	if r.Proto == "" && g.chance(60) {
		r.Proto = []string{"udp", "tcp", "icmp"}[g.r.IntN(3)]
		if r.Proto == "icmp" && d.v6 {
			r.Proto = "icmpv6"
		}
	}
	n := g.r.IntN(4)
	if r.Verdict == "drop" || r.Verdict == "reject" || r.Verdict == "accept" {
		n = max(n, 1)
	}
	kinds := d.nftKinds()
	if g.engine != "nft" {
		kinds = d.xtKinds()
	}
	for _, k := range g.r.Perm(len(kinds))[:n] {
		if m := kinds[k](); m != "" {
			r.Match = append(r.Match, m)
		}
	}
	if g.engine == "nft" && r.Proto != "" && len(r.Match) == 0 && r.Verdict != "vmap" {
		r.Match = append(r.Match, "meta l4proto "+r.Proto)
	}
	if r.Verdict == "count" && g.chance(60) {
		d.assign()
	}
}

func (d *draw) one(list ...string) string { return list[d.r.IntN(len(list))] }

func (d *draw) not() string { return map[bool]string{true: "! "}[d.chance(30)] }

func (d *draw) ne() string { return map[bool]string{true: "!= "}[d.chance(30)] }

func (d *draw) port() int { return firstPort + d.r.IntN(ports) }

func (d *draw) source() netip.Addr { return clientAddr(d.v6, d.r.IntN(sources)) }

// any is an address that packets have.
func (d *draw) any() netip.Addr {
	switch d.r.IntN(3) {
	case 0:
		return addr(d.v6, 1, 1)
	case 1:
		return addr(d.v6, 2, 2)
	}
	return d.source()
}

func (d *draw) ip() string {
	if d.v6 {
		return "ip6"
	}
	return "ip"
}

func (d *draw) prefix() string {
	a := d.any()
	bits := a.BitLen() - d.r.IntN(10)
	return netip.PrefixFrom(a, bits).Masked().String()
}

// ported is the rule's protocol where it has ports, else "".
func (d *draw) ported() string {
	if d.rule.Proto == "udp" || d.rule.Proto == "tcp" {
		return d.rule.Proto
	}
	return ""
}

// withPorts is nothing for rules without a protocol that has ports.
func (d *draw) withPorts(f func(proto string) string) func() string {
	return func() string {
		if p := d.ported(); p != "" {
			return f(p)
		}
		return ""
	}
}

func (d *draw) of(proto string, f func() string) func() string {
	return func() string {
		if d.rule.Proto != proto {
			return ""
		}
		return f()
	}
}

func (d *draw) icmpType() string {
	return d.one("echo-request", "echo-reply")
}

// portList is a list of ports and ranges of them.
func (d *draw) portList() string {
	var list []string
	for p := firstPort; p < firstPort+ports; p += 2 {
		switch d.r.IntN(3) {
		case 0:
			list = append(list, fmt.Sprint(p))
		case 1:
			list = append(list, fmt.Sprintf("%d-%d", p, p+1))
		}
	}
	if len(list) == 0 {
		return "1, 2"
	}
	return strings.Join(list, ", ")
}

// keys is a list of pairs of address and port, some of them ranges.
func (d *draw) keys(interval bool) string {
	var list []string
	for i := range sources {
		a := clientAddr(d.v6, i)
		port := fmt.Sprint(d.port())
		if interval {
			p := d.port()
			port = fmt.Sprintf("%d-%d", p, p+3)
		}
		switch {
		case interval && i == 0 && d.chance(50):
			list = append(list, fmt.Sprintf("%s-%s . %s", a, clientAddr(d.v6, 1), port))
		case i > 1 && d.chance(70):
			list = append(list, fmt.Sprintf("%s . %s", a, port))
		}
	}
	if len(list) == 0 {
		return fmt.Sprintf("%s . 5", d.source())
	}
	return strings.Join(list, ", ")
}
