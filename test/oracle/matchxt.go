package main

import (
	"fmt"
	"strings"
)

// xtKinds are the matches of iptables rules.
func (d *draw) xtKinds() []func() string {
	f := fmt.Sprintf
	kinds := []func() string{
		d.withPorts(func(p string) string { return f("-m %s %s--dport %d", p, d.not(), d.port()) }),
		d.withPorts(func(p string) string { n := d.port(); return f("-m %s %s--dport %d:%d", p, d.not(), n, n+3) }),
		d.withPorts(func(p string) string {
			return f("-m multiport %s--dports %s", d.not(), strings.NewReplacer(", ", ",", "-", ":").Replace(d.portList()))
		}),
		d.withPorts(func(p string) string { return f("-m multiport --ports %d,%d", d.port(), d.port()) }),
		d.withPorts(func(p string) string { return f("-m multiport ! --ports %d,%d", d.port(), d.port()) }),
		d.of("tcp", func() string {
			return f("-m tcp %s--tcp-flags %s", d.not(), d.one("SYN,RST SYN", "ALL SYN", "FIN,SYN NONE", "ACK ACK"))
		}),
		d.of("tcp", func() string { return f("-m tcp %s--syn", d.not()) }),
		d.of("tcp", func() string { return f("-m tcp %s--tcp-option 2", d.not()) }),
		d.of("icmp", func() string { return f("-m icmp %s--icmp-type %s", d.not(), d.icmpType()) }),
		d.of("icmpv6", func() string { return f("-m icmp6 %s--icmpv6-type %s", d.not(), d.icmpType()) }),
		d.once("-s", func() string { return f("%s-s %s", d.not(), d.source()) }),
		d.once("-s", func() string { return f("%s-s %s", d.not(), d.prefix()) }),
		d.once("-d", func() string { return f("%s-d %s", d.not(), d.any()) }),
		func() string {
			return f("-m conntrack %s--ctstate %s", d.not(), d.one("NEW", "INVALID", "RELATED,ESTABLISHED", "NEW,UNTRACKED", "DNAT", "NEW,SNAT"))
		},
		func() string {
			return f("-m conntrack %s--ctstatus %s", d.not(), d.one("NONE", "EXPECTED", "ASSURED,SEEN_REPLY"))
		},
		func() string { return f("-m conntrack %s--ctorigsrc %s", d.not(), d.source()) },
		func() string { return f("-m conntrack %s--ctorigdst %s", d.not(), d.any()) },
		func() string { return f("-m conntrack --ctdir %s", d.one("ORIGINAL", "REPLY")) },
		d.withPorts(func(p string) string {
			return f("-m conntrack --ctproto %s %s--ctorigdstport %d", p, d.not(), d.port())
		}),
		func() string { return "-m state --state " + d.one("NEW", "INVALID", "ESTABLISHED") },
		func() string { return f("-m length %s--length %d:", d.not(), 30+d.r.IntN(60)) },
		func() string { return f("-m mark %s--mark %d", d.not(), d.r.IntN(4)) },
		func() string { return f("-m mark --mark %d/%d", d.r.IntN(2), 1+d.r.IntN(3)) },
		func() string { return f("-m connmark %s--mark %d", d.not(), d.r.IntN(4)) },
		func() string {
			return f("-m iprange %s--src-range %s-%s", d.not(), clientAddr(d.v6, 1), clientAddr(d.v6, 2))
		},
		func() string { return f("-m iprange %s--dst-range %s-%s", d.not(), addr(d.v6, 1, 0), addr(d.v6, 1, 9)) },
		func() string {
			return f("-m addrtype %s--dst-type %s", d.not(), d.one("LOCAL", "UNICAST", d.byFamily("LOCAL,BROADCAST", "LOCAL,ANYCAST")))
		},
		func() string { return f("-m addrtype %s--src-type %s", d.not(), d.one("LOCAL", "UNICAST")) },
		func() string { return f("-m dscp %s--dscp %d", d.not(), d.r.IntN(2)) },
		func() string { return f("-m pkttype %s--pkt-type %s", d.not(), d.one("unicast", "multicast")) },
		func() string { return f("-m set %s--match-set oracle%sa src", d.not(), d.byFamily("4", "6")) },
		func() string { return f("-m set %s--match-set oracle%sn dst", d.not(), d.byFamily("4", "6")) },
		d.withPorts(func(string) string { return f("-m set %s--match-set oracle%sp src,dst", d.not(), d.byFamily("4", "6")) }),
		d.of("icmp", func() string { return f("-m set %s--match-set oracle4p src,dst", d.not()) }),
		func() string {
			return d.byFamily(f("-m ttl %s", d.one("--ttl-eq 64", "--ttl-lt 64", "--ttl-gt 60")), f("-m hl %s", d.one("--hl-eq 64", "--hl-lt 64")))
		},
		d.once("-f", func() string { return d.byFamily(d.one("-f", "! -f"), "") }),
		func() string { return d.byFamily("-m u32 --u32 "+d.one("6&0xFF=17", "0>>22&0x3C@0>>16=1001:9000"), "") },
		func() string { return "-m time --timestart 00:00 --timestop 23:59:59" },
	}
	if d.wide {
		kinds = append(kinds,
			func() string { return "-m cpu --cpu 0" },
			func() string { return "-m limit --limit 1/minute --limit-burst 3" },
			func() string { return "-m statistic --mode random --probability 0.5" },
			func() string {
				return f("-m hashlimit --hashlimit-upto 1/minute --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name h%d", d.next)
			},
			func() string {
				return f("-m recent --name r%d %s", d.r.IntN(3), d.one("--set", "--rcheck", "! --rcheck"))
			},
		)
	}
	return kinds
}

// once keeps options that a rule has once at most.
func (d *draw) once(option string, f func() string) func() string {
	return func() string {
		for _, m := range d.rule.Match {
			if strings.HasPrefix(strings.TrimPrefix(m, "! "), option+" ") || strings.TrimPrefix(m, "! ") == option {
				return ""
			}
		}
		return f()
	}
}

func (d *draw) assignXT() {
	f := fmt.Sprintf
	if d.table.Name != "mangle" {
		return
	}
	d.rule.Do = append(d.rule.Do, d.one(
		f("-j MARK --set-mark %d", d.r.IntN(4)), f("-j MARK --set-xmark %d/%d", d.r.IntN(4), d.r.IntN(4)),
		f("-j MARK --or-mark %d", d.r.IntN(4)), f("-j MARK --and-mark %d", d.r.IntN(4)),
		f("-j CONNMARK --set-mark %d", d.r.IntN(4)), "-j CONNMARK --save-mark", "-j CONNMARK --restore-mark",
		f("-j CONNMARK --set-xmark %d/%d", d.r.IntN(4), d.r.IntN(4)),
	))
}

// ipsets are what matches of iptables rules know, for ipset restore.
func ipsets() string {
	var b strings.Builder
	for _, v6 := range []bool{false, true} {
		n, family := "4", "inet"
		if v6 {
			n, family = "6", "inet6"
		}
		fmt.Fprintf(&b, "create oracle%sa hash:ip family %s -exist\n", n, family)
		fmt.Fprintf(&b, "create oracle%sn hash:net family %s -exist\n", n, family)
		fmt.Fprintf(&b, "create oracle%sp hash:ip,port family %s -exist\n", n, family)
		for i := range sources {
			if i%2 == 0 {
				fmt.Fprintf(&b, "add oracle%sa %s -exist\n", n, clientAddr(v6, i))
			}
			fmt.Fprintf(&b, "add oracle%sp %s,udp:%d -exist\nadd oracle%sp %s,tcp:%d -exist\n",
				n, clientAddr(v6, i), firstPort+i, n, clientAddr(v6, i), firstPort+2*i)
		}
		fmt.Fprintf(&b, "add oracle%sn %s -exist\n", n, netipRange(v6))
		fmt.Fprintf(&b, "add oracle%sn %s nomatch -exist\n", n, addr(v6, 2, 2))
		if !v6 {
			fmt.Fprintf(&b, "add oracle4n 10.77.1.16/30 -exist\nadd oracle4p %s,icmp:8/0 -exist\n", clientAddr(v6, 1))
		}
	}
	return b.String()
}
