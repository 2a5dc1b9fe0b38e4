package main

import (
	"fmt"
	"strings"
)

// nftKinds are the matches of nft rules. A kind that does not fit gives "".
func (d *draw) nftKinds() []func() string {
	f := fmt.Sprintf
	kinds := []func() string{
		d.withPorts(func(p string) string { return f("%s dport %s%d", p, d.ne(), d.port()) }),
		d.withPorts(func(p string) string { n := d.port(); return f("%s dport %s%d-%d", p, d.ne(), n, n+3) }),
		d.withPorts(func(p string) string { return f("%s dport %s{ %s }", p, d.ne(), d.portList()) }),
		d.withPorts(func(p string) string { return f("%s dport %s@ports", p, d.ne()) }),
		d.withPorts(func(p string) string { return f("th dport & 7 == %d", d.r.IntN(8)) }),
		d.withPorts(func(p string) string {
			return f("%s saddr . %s dport %s{ %s }", d.ip(), p, d.ne(), d.keys(d.chance(50)))
		}),
		d.withPorts(func(p string) string { return f("%s saddr . %s dport %s@%spairs", d.ip(), p, d.ne(), d.ip()) }),
		d.withPorts(func(p string) string {
			return f("meta l4proto . th dport { %s . %d, udp . %d }", p, d.port(), d.port())
		}),
		d.withPorts(func(string) string { return f("@th,16,16 %d-%d", d.port(), d.port()+20) }),
		d.of("tcp", func() string {
			return "tcp flags " + d.one("syn", "& (syn|ack) == syn", "& (fin|rst) != 0", "!= syn", "syn,ack", "& syn == 0")
		}),
		d.of("tcp", func() string { return "tcp option maxseg " + d.one("exists", "missing") }),
		d.of("icmp", func() string { return f("icmp type %s%s", d.ne(), d.icmpType()) }),
		d.of("icmp", func() string { return f("icmp type { %s, destination-unreachable }", d.icmpType()) }),
		d.of("icmpv6", func() string { return f("icmpv6 type %s%s", d.ne(), d.icmpType()) }),
		func() string { return f("%s saddr %s%s", d.ip(), d.ne(), d.source()) },
		func() string { return f("%s saddr %s%s", d.ip(), d.ne(), d.prefix()) },
		func() string { return f("%s daddr %s%s", d.ip(), d.ne(), d.any()) },
		func() string { return f("%s saddr %s{ %s, %s }", d.ip(), d.ne(), d.source(), addr(d.v6, 1, 1)) },
		func() string { return f("%s saddr %s@%saddrs", d.ip(), d.ne(), d.ip()) },
		func() string { return f("%s daddr %s%s-%s", d.ip(), d.ne(), addr(d.v6, 1, 1), clientAddr(d.v6, 1)) },
		func() string { return "ct state " + d.ne() + d.one("new", "invalid", "established", "untracked") },
		func() string {
			return "ct state " + d.one("established,related", "new,untracked", "{ new, established }", "vmap { established : accept, invalid : continue }")
		},
		func() string { return f("meta length %s %d", d.one(">", "<", "!="), 30+d.r.IntN(60)) },
		func() string { return f("meta iifname %s%q", d.ne(), d.one("rc", "rs", "lo", "r*")) },
		func() string { return f("meta oifname %s%q", d.ne(), d.one("rc", "rs", "r*", "x*")) },
		func() string { return f("meta oifname { \"rc\", \"eth*\" }") },
		func() string { return f("iif %s%s", d.ne(), d.one("rc", "rs", "lo")) },
		func() string { return f("meta mark %s%d", d.ne(), d.r.IntN(4)) },
		func() string { return f("meta mark & %d == %d", 1+d.r.IntN(3), d.r.IntN(3)) },
		func() string { return f("ct mark %s%d", d.ne(), d.r.IntN(4)) },
		func() string { return "ct direction " + d.one("original", "reply") },
		func() string { return "ct status " + d.one("dnat", "snat", "expected", "assured", "! dnat") },
		func() string { return f("ct original %s saddr %s", d.ip(), d.source()) },
		func() string { return f("ct original %s daddr %s%s", d.ip(), d.ne(), d.any()) },
		d.withPorts(func(p string) string { return f("meta l4proto %s ct original proto-dst %s%d", p, d.ne(), d.port()) }),
		func() string {
			return f("fib daddr type %s%s", d.ne(), d.one("local", "unicast", "{ local, broadcast }"))
		},
		func() string { return f("fib saddr type %s%s", d.ne(), d.one("local", "unicast", "broadcast")) },
		func() string {
			if d.table.Family != "inet" {
				return ""
			}
			return "meta nfproto " + d.one("ipv4", "ipv6")
		},
		func() string {
			return f("meta l4proto %s%s", d.ne(), d.one("tcp", "udp", "{ tcp, icmp }", "{ 17, 58 }"))
		},
		func() string { return f("meta pkttype %s%s", d.ne(), d.one("host", "multicast")) },
		func() string { return f("meta skuid %s%d", d.ne(), d.r.IntN(2)) },
		func() string { return "meta protocol " + d.one("ip", "ip6") },
		func() string {
			return d.byFamily("ip ttl "+d.one("64", "< 64", "63-70"), "ip6 hoplimit "+d.one("64", "> 64", "!= 64"))
		},
		func() string {
			return d.byFamily("ip dscp "+d.one("cs0", "!= cs0", "cs1"), "ip6 dscp "+d.one("cs0", "!= cs0", "cs1"))
		},
		func() string {
			return d.byFamily("ip protocol "+d.one("tcp", "!= udp", "icmp"), "ip6 nexthdr "+d.one("tcp", "!= udp", "60"))
		},
		func() string {
			return d.byFamily("ip frag-off & 0x1fff == 0", "exthdr "+d.one("dst", "frag", "hbh")+d.one(" exists", " missing"))
		},
		func() string {
			return d.byFamily("ip length "+d.one("> 60", "< 60"), "ip6 length "+d.one("> 30", "< 30"))
		},
		func() string { return d.byFamily("@nh,96,8 10", "@nh,64,16 0xfd77") },
		func() string { return d.byFamily("ip option rr "+d.one("exists", "missing"), "") },
	}
	if d.wide {
		kinds = append(kinds,
			func() string { return "limit rate " + d.one("", "over ") + "1/minute burst 3 packets" },
			func() string { return "numgen random mod 2 " + d.one("0", "< 1") },
			func() string { return f("quota %s40 bytes", d.one("", "over ")) },
		)
	}
	return kinds
}

func (d *draw) byFamily(v4, v6 string) string {
	if d.v6 {
		return v6
	}
	return v4
}

// assign has the rule set something.
func (d *draw) assign() {
	f := fmt.Sprintf
	if d.engine != "nft" {
		d.assignXT()
		return
	}
	ways := []string{
		f("meta mark set %d", d.r.IntN(4)),
		f("meta mark set meta mark | %d", 1+d.r.IntN(2)),
		f("meta mark set meta mark & 1 ^ %d", d.r.IntN(4)),
		f("ct mark set %d", d.r.IntN(4)),
		"meta mark set ct mark",
		"ct mark set meta mark",
	}
	if p := d.ported(); p != "" {
		d.rule.Match = append(d.rule.Match, "meta l4proto "+p)
		ways = append(ways, f("meta mark set %s dport map { %d : 1, %d-%d : 2 }", p, firstPort, firstPort+2, firstPort+5),
			f("meta mark set %s dport map @marks", p))
	}
	d.rule.Do = append(d.rule.Do, ways[d.r.IntN(len(ways))])
}

// sets are the named sets that matches of nft rules know.
func (d *draw) sets() string {
	var b strings.Builder
	w := func(format string, a ...any) { fmt.Fprintf(&b, "\t"+format+"\n", a...) }
	w("set ports { type inet_service; flags interval; elements = { %s }; }", d.portList())
	w("map marks { type inet_service : mark; elements = { %d : 1, %d : 2, %d : 3 }; }", firstPort, firstPort+3, firstPort+4)
	for _, v6 := range []bool{false, true} {
		d.v6 = v6
		kind := d.byFamily("ipv4_addr", "ipv6_addr")
		w("set %saddrs { type %s; flags interval; elements = { %s, %s }; }", d.ip(), kind, d.source(), netipRange(v6))
		w("set %spairs { type %s . inet_service; flags interval; elements = { %s }; }", d.ip(), kind, d.keys(true))
	}
	return b.String()
}

func netipRange(v6 bool) string {
	if v6 {
		return "fd77:2::/64"
	}
	return "10.77.2.0/28"
}
