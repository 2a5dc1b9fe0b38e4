package nftables

import "strings"

type statementGroup struct {
	name    string
	ruleset string     // in which RULES stands for the rules
	tests   [][]string // the rule, then its statements
}

func (g statementGroup) rules() []string {
	var rules []string
	for _, t := range g.tests {
		rules = append(rules, t[0])
	}
	return rules
}

// replaceRules is the group's whole ruleset.
func replaceRules(g statementGroup) string {
	return strings.Replace(g.ruleset, "RULES", strings.Join(g.rules(), "\n"), 1)
}

const inetInput = "table inet t {\n chain other {\n drop\n }\n chain c {\n type filter hook input priority 0; policy accept;\nRULES\n }\n}\n"
const ipInput = "table ip t {\n chain c {\n type filter hook input priority 0; policy accept;\nRULES\n }\n}\n"
const ipPrerouting = "table ip t {\n chain c {\n type nat hook prerouting priority -100; policy accept;\nRULES\n }\n}\n"

var statementTests = []statementGroup{
	{name: "addresses", ruleset: ipInput, tests: [][]string{
		{
			`ip saddr 192.0.2.7 drop`,
			"ip saddr=c0000207 `ip saddr 192.0.2.7`",
			`drop`,
		},
		{
			`ip saddr 10.0.0.0/8 drop`,
			"ip saddr=0a000000-0affffff `ip saddr 10.0.0.0/8`",
			`drop`,
		},
		{
			`ip saddr 10.1.2.0/23 drop`,
			"ip saddr=0a010200-0a0103ff `ip saddr 10.1.2.0/23`",
			`drop`,
		},
		{
			`ip daddr != 192.0.2.0/25 drop`,
			"ip daddr!=c0000200-c000027f `ip daddr != 192.0.2.0/25`",
			`drop`,
		},
		{
			`ip saddr 192.0.2.1-192.0.2.9 drop`,
			"ip saddr=c0000201-c0000209 `ip saddr 192.0.2.1-192.0.2.9`",
			`drop`,
		},
		{
			`ip saddr != 192.0.2.1-192.0.2.9 drop`,
			"ip saddr!=c0000201-c0000209 `ip saddr != 192.0.2.1-192.0.2.9`",
			`drop`,
		},
		{
			`ip saddr > 192.0.2.1 drop`,
			"ip saddr=c0000202-ffffffff `ip saddr > 192.0.2.1`",
			`drop`,
		},
		{
			`ip saddr and 255.0.0.255 == 10.0.0.1 drop`,
			"ip saddr & ff0000ff=0a000001 `ip saddr & 255.0.0.255 == 10.0.0.1`",
			`drop`,
		},
		{
			`ip saddr 192.0.2.1 ip daddr 192.0.2.2 drop`,
			"ip saddr=c0000201 `ip saddr 192.0.2.1`",
			"ip daddr=c0000202 `ip daddr 192.0.2.2`",
			`drop`,
		},
		{
			`ip saddr 10.0.0.0/16 ip daddr 10.0.0.0/16 drop`,
			"ip saddr=0a000000-0a00ffff `ip saddr 10.0.0.0/16`",
			"ip daddr=0a000000-0a00ffff `ip daddr 10.0.0.0/16`",
			`drop`,
		},
		{
			`ip protocol udp drop`,
			"ip protocol=11 `ip protocol udp`",
			`drop`,
		},
		{
			`ip ttl < 5 drop`,
			"ip ttl=00-04 `ip ttl < 5`",
			`drop`,
		},
		{
			`ip dscp cs1 drop`,
			"ip dscp & fc=20 `ip dscp cs1`",
			`drop`,
		},
		{
			`ip dscp != cs1 drop`,
			"ip dscp & fc!=20 `ip dscp != cs1`",
			`drop`,
		},
		{
			`ip dscp { cs1, af11 } drop`,
			"ip dscp & fc={20 28} `ip dscp { cs1, af11 }`",
			`drop`,
		},
		{
			`ip length 100-200 drop`,
			"ip length=0064-00c8 `ip length 100-200`",
			`drop`,
		},
		{
			`ip id 7 drop`,
			"ip id=0007 `ip id 7`",
			`drop`,
		},
		{
			`ip frag-off & 0x1fff != 0 drop`,
			"ip frag-off & 1fff!=0000 `ip frag-off & 8191 != 0`",
			`drop`,
		},
		{
			`@nh,64,16 0x4006 drop`,
			"ip ttl=40 `ip ttl 64`",
			"ip protocol=06 `ip protocol tcp`",
			`drop`,
		},
		{
			`@nh,70,3 0x5 drop`,
			"ip ttl & 03=02 `ip ttl & 3 == 2`",
			"ip protocol & 80=80 `ip protocol & 128 == 128`",
			`drop`,
		},
	}},
	{name: "addresses of inet", ruleset: inetInput, tests: [][]string{
		{
			`ip saddr 192.0.2.7 drop`,
			`[meta nfproto=02]`,
			"ip saddr=c0000207 `ip saddr 192.0.2.7`",
			`drop`,
		},
		{
			`ip6 saddr 2001:db8::/32 drop`,
			`[meta nfproto=0a]`,
			"ip6 saddr=20010db8000000000000000000000000-20010db8ffffffffffffffffffffffff `ip6 saddr 2001:db8::/32`",
			`drop`,
		},
		{
			`ip6 saddr 2001:db8::/37 drop`,
			`[meta nfproto=0a]`,
			"ip6 saddr=20010db8000000000000000000000000-20010db807ffffffffffffffffffffff `ip6 saddr 2001:db8::/37`",
			`drop`,
		},
		{
			`ip6 daddr 2001:db8::1 drop`,
			`[meta nfproto=0a]`,
			"ip6 daddr=20010db8000000000000000000000001 `ip6 daddr 2001:db8::1`",
			`drop`,
		},
		{
			`ip6 daddr 2001:db8::1-2001:db8::9 drop`,
			`[meta nfproto=0a]`,
			"ip6 daddr=20010db8000000000000000000000001-20010db8000000000000000000000009 `ip6 daddr 2001:db8::1-2001:db8::9`",
			`drop`,
		},
		{
			`ip6 nexthdr tcp drop`,
			`[meta nfproto=0a]`,
			"ip6 nexthdr=06 `ip6 nexthdr tcp`",
			`drop`,
		},
		{
			`ip6 hoplimit 255 drop`,
			`[meta nfproto=0a]`,
			"ip6 hoplimit=ff `ip6 hoplimit 255`",
			`drop`,
		},
		{
			`ip6 dscp cs1 drop`,
			`[meta nfproto=0a]`,
			"@nh,0,16 & 0fc0=0200 `ip6 dscp cs1`",
			`drop`,
		},
		{
			`meta nfproto ipv6 drop`,
			"meta nfproto=0a `meta nfproto ipv6`",
			`drop`,
		},
		{
			`meta protocol ip6 drop`,
			"meta protocol=86dd `meta protocol ip6`",
			`drop`,
		},
		{
			`ether saddr 00:11:22:33:44:55 drop`,
			`[0x20000902=0001]`,
			"ether saddr=001122334455 `ether saddr 00:11:22:33:44:55`",
			`drop`,
		},
		{
			`ether type arp drop`,
			`[0x20000902=0001]`,
			"ether type=0806 `ether type arp`",
			`drop`,
		},
	}},
	{name: "transport", ruleset: inetInput, tests: [][]string{
		{
			`tcp dport 22 drop`,
			`[meta l4proto=06]`,
			"dport=0016 `tcp dport 22`",
			`drop`,
		},
		{
			`tcp sport 1024-65535 drop`,
			`[meta l4proto=06]`,
			"sport=0400-ffff `tcp sport 1024-65535`",
			`drop`,
		},
		{
			`udp dport != 53 drop`,
			`[meta l4proto=11]`,
			"dport!=0035 `udp dport != 53`",
			`drop`,
		},
		{
			`tcp dport { 22, 80, 443 } drop`,
			`[meta l4proto=06]`,
			"dport={0016 0050 01bb} `tcp dport { 22, 80, 443 }`",
			`drop`,
		},
		{
			`tcp dport != { 22, 1000-2000 } drop`,
			`[meta l4proto=06]`,
			"dport!={0016 03e8-07d0} `tcp dport != { 22, 1000-2000 }`",
			`drop`,
		},
		{
			`tcp sport 1 tcp dport 2 drop`,
			`[meta l4proto=06]`,
			"sport=0001 `tcp sport 1`",
			"dport=0002 `tcp dport 2`",
			`drop`,
		},
		{
			`meta l4proto { tcp, udp } th dport 53 drop`,
			"meta l4proto={06 11} `meta l4proto { tcp, udp }`",
			"dport=0035 `th dport 53`",
			`drop`,
		},
		{
			`tcp flags syn drop`,
			`[meta l4proto=06]`,
			"tcp flags & 02!=00 `tcp flags syn`",
			`drop`,
		},
		{
			`tcp flags != syn drop`,
			`[meta l4proto=06]`,
			"tcp flags!=02 `tcp flags != syn`",
			`drop`,
		},
		{
			`tcp flags & (fin|syn|rst|ack) == syn drop`,
			`[meta l4proto=06]`,
			"tcp flags & 17=02 `tcp flags syn / fin,syn,rst,ack`",
			`drop`,
		},
		{
			`tcp flags & (syn|ack) != syn|ack drop`,
			`[meta l4proto=06]`,
			"tcp flags & 12!=12 `tcp flags != syn,ack / syn,ack`",
			`drop`,
		},
		{
			`tcp flags { syn, ack } drop`,
			`[meta l4proto=06]`,
			"tcp flags={02 10} `tcp flags { syn, ack }`",
			`drop`,
		},
		{
			`icmp type echo-request drop`,
			`[meta nfproto=02]`,
			`[meta l4proto=01]`,
			"icmp type=08 `icmp type echo-request`",
			`drop`,
		},
		{
			`icmp type { echo-request, echo-reply } drop`,
			`[meta nfproto=02]`,
			`[meta l4proto=01]`,
			"icmp type={00 08} `icmp type { echo-reply, echo-request }`",
			`drop`,
		},
		{
			`icmp type 3 icmp code 1 drop`,
			`[meta nfproto=02]`,
			`[meta l4proto=01]`,
			"icmp type=03 `icmp type destination-unreachable`",
			"icmp code=01 `icmp code 1`",
			`drop`,
		},
		{
			`icmpv6 type nd-neighbor-solicit drop`,
			`[meta nfproto=0a]`,
			`[meta l4proto=3a]`,
			"icmp type=87 `icmpv6 type nd-neighbor-solicit`",
			`drop`,
		},
		{
			`tcp option maxseg size 100-200 drop`,
			"0x51020202=0064-00c8 `tcp option maxseg size 100-200`",
			`drop`,
		},
		{
			`tcp option sack-permitted exists drop`,
			"0x51040000=01 `tcp option sack-permitted exists`",
			`drop`,
		},
		{
			`exthdr frag exists drop`,
			`[meta nfproto=0a]`,
			"0x502c0000=01 `exthdr frag exists`",
			`drop`,
		},
		{
			`frag frag-off 33 drop`,
			`[meta nfproto=0a]`,
			"0x502c0202 & fff8=0108 `exthdr frag @16,16 & 65528 == 264`",
			`drop`,
		},
		{
			`ip option lsrr exists drop`,
			`[meta nfproto=02]`,
			"0x52830000=01 `ip option lsrr exists`",
			`drop`,
		},
		{
			`sctp dport 5 drop`,
			`[meta l4proto=84]`,
			"dport=0005 `sctp dport 5`",
			`drop`,
		},
		{
			`esp spi 100 drop`,
			"meta l4proto=32 `meta l4proto esp`",
			"@th,0,32=00000064 `@th,0,32 100`",
			`drop`,
		},
	}},
	{name: "interfaces", ruleset: inetInput, tests: [][]string{
		{
			`iif lo drop`,
			"iif=00000001 `iif \"lo\"`",
			`drop`,
		},
		{
			`oif != lo drop`,
			"oif!=00000001 `oif != \"lo\"`",
			`drop`,
		},
		{
			`iifname "eth0" drop`,
			"iifname=65746830000000000000000000000000 `iifname \"eth0\"`",
			`drop`,
		},
		{
			`iifname "eth*" drop`,
			"iifname=65746800000000000000000000000000-657468ffffffffffffffffffffffffff `iifname \"eth*\"`",
			`drop`,
		},
		{
			`iifname != "eth0" drop`,
			"iifname!=65746830000000000000000000000000 `iifname != \"eth0\"`",
			`drop`,
		},
		{
			`iifname { "eth0", "wlan*" } drop`,
			"iifname={65746830000000000000000000000000 776c616e000000000000000000000000-776c616effffffffffffffffffffffff} `iifname { \"eth0\", \"wlan*\" }`",
			`drop`,
		},
		{
			`iifname . oifname { "eth0" . "eth1" } drop`,
			"iifname . oifname={6574683000000000000000000000000065746831000000000000000000000000} `iifname . oifname { \"eth0\" . \"eth1\" }`",
			`drop`,
		},
		{
			`iifgroup 5 drop`,
			"0x20000b04=00000005 `iifgroup 5`",
			`drop`,
		},
		{
			`iiftype ether drop`,
			"0x20000902=0001 `iiftype ether`",
			`drop`,
		},
	}},
	{name: "meta", ruleset: inetInput, tests: [][]string{
		{
			`meta mark 16 drop`,
			"meta mark=00000010 `meta mark 0x00000010`",
			`drop`,
		},
		{
			`meta mark != 16 drop`,
			"meta mark!=00000010 `meta mark != 0x00000010`",
			`drop`,
		},
		{
			`meta mark & 0xff00 == 0x1200 drop`,
			"meta mark & 0000ff00=00001200 `meta mark & 0x0000ff00 == 0x00001200`",
			`drop`,
		},
		{
			`meta mark and 0xff != 0 drop`,
			"meta mark & 000000ff!=00000000 `meta mark & 0x000000ff != 0x00000000`",
			`drop`,
		},
		{
			`meta mark 1-10 drop`,
			"meta mark=00000001-0000000a `meta mark 0x00000001-0x0000000a`",
			`drop`,
		},
		{
			`meta mark > 10 drop`,
			"meta mark=0000000b-ffffffff `meta mark > 0x0000000a`",
			`drop`,
		},
		{
			`meta mark { 1, 5 } drop`,
			"meta mark={00000001 00000005} `meta mark { 0x00000001, 0x00000005 }`",
			`drop`,
		},
		{
			`meta mark { 1-5, 9 } drop`,
			"meta mark={00000001-00000005 00000009} `meta mark { 0x00000001-0x00000005, 0x00000009 }`",
			`drop`,
		},
		{
			`meta mark . tcp dport { 1 . 22, 2 . 80 } drop`,
			`[meta l4proto=06]`,
			"meta mark . dport={000000010016 000000020050} `meta mark . tcp dport { 0x00000001 . 22, 0x00000002 . 80 }`",
			`drop`,
		},
		{
			`meta skuid 1000 drop`,
			"meta skuid=000003e8 `meta skuid 1000`",
			`drop`,
		},
		{
			`meta skgid >= 1000 drop`,
			"meta skgid=000003e8-ffffffff `meta skgid >= 1000`",
			`drop`,
		},
		{
			`meta length > 1000 drop`,
			"meta length=000003e9-ffffffff `meta length > 1000`",
			`drop`,
		},
		{
			`meta pkttype broadcast drop`,
			"meta pkttype=01 `meta pkttype broadcast`",
			`drop`,
		},
		{
			`meta priority 1:2 drop`,
			"0x20001204=00010002 `meta priority 1:2`",
			`drop`,
		},
		{
			`meta cpu 0 drop`,
			"0x20001604=00000000 `meta cpu 0`",
			`drop`,
		},
		{
			`meta hour "10:00"-"12:00" drop`,
			"opaque time uf `meta hour`",
			"opaque time uf `meta hour`",
			`drop`,
		},
		{
			`meta day "Monday" drop`,
			"opaque time uf `meta day`",
			`drop`,
		},
		{
			`meta random < 100 drop`,
			"opaque random uf `meta random`",
			`drop`,
		},
	}},
	{name: "conntrack", ruleset: inetInput, tests: [][]string{
		{
			`ct state new drop`,
			"ct state & 00000008!=00000000 `ct state new`",
			`drop`,
		},
		{
			`ct state established,related drop`,
			"ct state & 00000006!=00000000 `ct state established,related`",
			`drop`,
		},
		{
			`ct state != new drop`,
			"ct state!=00000008 `ct state != new`",
			`drop`,
		},
		{
			`ct state { new, untracked } drop`,
			"ct state={00000008 00000040} `ct state { new, untracked }`",
			`drop`,
		},
		{`ct state vmap { established : accept, related : accept, new : jump other, invalid : drop }`, "ct state vmap {00000001:drop 00000002:accept 00000004:accept 00000008:jump other→other} `ct state vmap { invalid : drop, established : accept, related : accept, new : jump other }`"},
		{
			`ct direction reply drop`,
			"ct direction=01 `ct direction reply`",
			`drop`,
		},
		{
			`ct status dnat drop`,
			"ct status & 00000020!=00000000 `ct status dnat`",
			`drop`,
		},
		{
			`ct status & (snat|dnat) == 0 drop`,
			"ct status & 00000030=00000000 `ct status ! snat,dnat`",
			`drop`,
		},
		{
			`ct mark 7 drop`,
			"ct mark=00000007 `ct mark 0x00000007`",
			`drop`,
		},
		{
			`ct mark & 0xf0 == 0x10 drop`,
			"ct mark & 000000f0=00000010 `ct mark & 0x000000f0 == 0x00000010`",
			`drop`,
		},
		{
			`ct zone 5 drop`,
			"ct zone=0005 `ct zone 5`",
			`drop`,
		},
		{
			`ct original ip saddr 192.0.2.1 drop`,
			`[0x30000701=02]`,
			"0x30000910=c0000201000000000000000000000000-c0000201ffffffffffffffffffffffff `ct original ip saddr 192.0.2.1`",
			`drop`,
		},
		{
			`ct original ip daddr 192.0.2.0/24 drop`,
			`[0x30000701=02]`,
			"0x30000a10=c0000200000000000000000000000000-c00002ffffffffffffffffffffffffff `ct original ip daddr 192.0.2.0/24`",
			`drop`,
		},
		{
			`ct reply ip6 saddr 2001:db8::1 drop`,
			`[0x30000701=0a]`,
			"0x30000d10=20010db8000000000000000000000001 `ct reply ip6 saddr 2001:db8::1`",
			`drop`,
		},
		{
			`ct l3proto ipv6 drop`,
			"0x30000701=0a `ct l3proto ipv6`",
			`drop`,
		},
		{
			`ct expiration 10s drop`,
			"0x30000504=00002710 `ct expiration 10000`",
			`drop`,
		},
		{
			`ct helper "ftp" drop`,
			"ct helper=66747000000000000000000000000000 `ct helper \"ftp\"`",
			`drop`,
		},
		{
			`ct bytes > 1000 drop`,
			"0x30001208=00000000000003e9-ffffffffffffffff `ct bytes > 1000`",
			`drop`,
		},
		{
			`ct original packets > 10 drop`,
			"opaque conntrack uf `ct traffic`",
			`drop`,
		},
		{
			`tcp dport 22 ct original proto-dst 80 drop`,
			`[meta l4proto=06]`,
			"dport=0016 `tcp dport 22`",
			"0x30000c02=0050 `ct original proto-dst 80`",
			`drop`,
		},
		{
			`meta l4proto tcp ct original ip daddr . ct original proto-dst { 192.0.2.1 . 80 } drop`,
			"meta l4proto=06 `meta l4proto tcp`",
			`[0x30000701=02]`,
			"0x30000a10 . 0x30000c02={c00002010000000000000000000000000050-c0000201ffffffffffffffffffffffff0050} `ct original ip daddr . ct original proto-dst { 192.0.2.1 . 80 }`",
			`drop`,
		},
	}},
	{name: "fib", ruleset: inetInput, tests: [][]string{
		{
			`fib daddr type local drop`,
			"fib 0x2 3=00000002 `fib daddr type local`",
			`drop`,
		},
		{
			`fib daddr type { local, broadcast } drop`,
			"fib 0x2 3={00000002 00000003} `fib daddr type { local, broadcast }`",
			`drop`,
		},
		{
			`fib saddr . iif oif missing drop`,
			"fib 0x9 4=00000000 `fib saddr . iif oif missing`",
			`drop`,
		},
		{
			`fib saddr . iif oif exists drop`,
			"fib 0x9 4=00000001 `fib saddr . iif oif exists`",
			`drop`,
		},
		{
			`fib saddr . mark oif lo drop`,
			"fib 0x5 1=00000001 `fib saddr . mark oif 1`",
			`drop`,
		},
		{
			`fib daddr oifname "eth0" drop`,
			"fib 0x2 2=65746830000000000000000000000000 `fib daddr oifname \"eth0\"`",
			`drop`,
		},
		{
			`fib saddr . iif type unicast drop`,
			"fib 0x9 3=00000001 `fib saddr . iif type unicast`",
			`drop`,
		},
	}},
	{name: "concatenations", ruleset: inetInput, tests: [][]string{
		{
			`ip saddr . tcp dport { 192.0.2.1 . 22, 192.0.2.2 . 80 } drop`,
			`[meta nfproto=02]`,
			`[meta l4proto=06]`,
			"ip saddr . dport={c00002010016 c00002020050} `ip saddr . tcp dport { 192.0.2.1 . 22, 192.0.2.2 . 80 }`",
			`drop`,
		},
		{
			`ip saddr . tcp dport { 192.0.2.0/24 . 20-30, 192.0.2.200-192.0.2.210 . 80 } drop`,
			`[meta nfproto=02]`,
			`[meta l4proto=06]`,
			"ip saddr . dport={c00002000014-c00002ff001e c00002c80050-c00002d20050} `ip saddr . tcp dport { 192.0.2.0/24 . 20-30, 192.0.2.200-192.0.2.210 . 80 }`",
			`drop`,
		},
		{
			`ip saddr . ip daddr . meta l4proto . th dport { 192.0.2.1 . 192.0.2.2 . tcp . 22 } drop`,
			`[meta nfproto=02]`,
			"ip saddr . ip daddr . meta l4proto . dport={c0000201c0000202060016} `ip saddr . ip daddr . meta l4proto . th dport { 192.0.2.1 . 192.0.2.2 . tcp . 22 }`",
			`drop`,
		},
		{
			`ip6 saddr . iifname { 2001:db8::1 . "eth0" } drop`,
			`[meta nfproto=0a]`,
			"ip6 saddr . iifname={20010db800000000000000000000000165746830000000000000000000000000} `ip6 saddr . iifname { 2001:db8::1 . \"eth0\" }`",
			`drop`,
		},
		{
			`tcp dport vmap { 22 : accept, 80-90 : drop, * : jump other }`,
			`[meta l4proto=06]`,
			"dport vmap {*:jump other→other 0016:accept 0050-005a:drop} `tcp dport vmap { * : jump other, 22 : accept, 80-90 : drop }`",
		},
		{
			`ip saddr . tcp dport vmap { 192.0.2.1 . 22 : accept, 192.0.2.2 . 80 : goto other }`,
			`[meta nfproto=02]`,
			`[meta l4proto=06]`,
			"ip saddr . dport vmap {c00002010016:accept c00002020050:goto other→other} `ip saddr . tcp dport vmap { 192.0.2.1 . 22 : accept, 192.0.2.2 . 80 : goto other }`",
		},
		{
			`ip dscp vmap { cs1 : drop }`,
			`[meta nfproto=02]`,
			"ip dscp & fc vmap {20:drop} `ip dscp vmap { cs1 : drop }`",
		},
		{`meta mark & 0xff vmap { 1 : drop, 2 : accept }`, "meta mark & 000000ff vmap {00000001:drop 00000002:accept} `meta mark & 0x000000ff vmap { 0x00000001 : drop, 0x00000002 : accept }`"},
	}},
	{name: "verdicts", ruleset: inetInput, tests: [][]string{
		{`accept`, `accept`},
		{`drop`, `drop`},
		{`return`, `return`},
		{`continue`, `continue`},
		{`jump other`, `jump other→other`},
		{`goto other`, `goto other→other`},
		{`reject`, `reject with icmpx port-unreachable`},
		{
			`reject with tcp reset`,
			`[meta l4proto=06]`,
			`reject with tcp reset`,
		},
		{`reject with icmpx type admin-prohibited`, `reject with icmpx admin-prohibited`},
		{
			`ip protocol tcp reject with icmp type host-unreachable`,
			`[meta nfproto=02]`,
			"ip protocol=06 `ip protocol tcp`",
			`reject with icmp host-unreachable`,
		},
		{
			`ip6 nexthdr tcp reject with icmpv6 type no-route`,
			`[meta nfproto=0a]`,
			"ip6 nexthdr=06 `ip6 nexthdr tcp`",
			`reject with icmpv6 no-route`,
		},
		{`counter drop`, `drop`},
		{`log prefix "x" drop`, `drop`},
		{
			`limit rate 10/second drop`,
			"opaque limit uf `limit rate 10/second burst 5 packets`",
			`drop`,
		},
		{
			`limit rate over 10/minute burst 20 packets drop`,
			"opaque limit uf `limit rate over 10/minute burst 20 packets`",
			`drop`,
		},
		{
			`limit rate 10 kbytes/second drop`,
			"opaque limit uf `limit rate 10240 bytes/second`",
			`drop`,
		},
		{
			`quota over 100 bytes drop`,
			"opaque quota uf `quota over 100 bytes`",
			`drop`,
		},
		{
			`ct count over 10 drop`,
			"opaque connlimit ufd `ct count over 10`",
			`drop`,
		},
		{`numgen random mod 2 vmap { 0 : accept, 1 : drop }`, "unknown vmap {00000000:accept 00000001:drop} `numgen random mod 2 vmap { 0 : accept, 1 : drop }`"},
		{
			`numgen inc mod 10 < 5 drop`,
			"opaque numgen uf `numgen inc mod 10`",
			`drop`,
		},
		{
			`jhash ip saddr mod 2 vmap { 0 : accept, 1 : jump other }`,
			"meta nfproto=02 `meta nfproto ipv4`",
			`[ip saddr=00000000-ffffffff]`,
			"unknown vmap {00000000:accept 00000001:jump other→other} `jhash mod 2 vmap { 0 : accept, 1 : jump other }`",
		},
		{
			`socket transparent 1 drop`,
			"opaque socket uf `socket`",
			`drop`,
		},
		{
			`rt classid 5 drop`,
			"opaque route uf `rt`",
			`drop`,
		},
		{`synproxy mss 1460`, "opaque synproxy ufd `synproxy`"},
		{`notrack`, `notrack`},
		{`meta mark set 7`, "set meta mark &  ^ 00000007 `meta mark set 0x00000007`"},
		{
			`meta mark set ct mark`,
			`[ct mark=00000000-ffffffff]`,
			"set meta mark from ct mark &  `meta mark set ct mark`",
		},
		{
			`meta mark set ct mark & 0xff`,
			`[ct mark=00000000-ffffffff]`,
			"set meta mark from ct mark & 000000ff `meta mark set ct mark & 0x000000ff`",
		},
		{`meta mark set meta mark & 0xff | 0x100`, "set meta mark & 000000ff ^ 00000100 `meta mark set meta mark & 0x000000ff ^ 0x00000100`"},
		{
			`meta mark set tcp dport map { 22 : 1, 80 : 2 }`,
			`[meta l4proto=06]`,
			"dport={0016:01000000 0050:02000000} `tcp dport { 22, 80 }`",
			"set meta mark unknown `meta mark set tcp dport map { … }`",
		},
		{`ct mark set meta mark`, "set ct mark from meta mark &  `ct mark set meta mark`"},
		{`ct mark set 5`, "set ct mark &  ^ 00000005 `ct mark set 0x00000005`"},
		{
			`ip dscp set cs1`,
			"meta nfproto=02 `meta nfproto ipv4`",
			`[@nh,0,16=0000-ffff]`,
			"set @nh,0,16 & ff03 ^ 0020 `@nh,0,16 set @nh,0,16 & 65283 ^ 32`",
		},
		{`meta nftrace set 1`},
		{
			`tcp dport 22 accept comment "hello"`,
			`[meta l4proto=06]`,
			"dport=0016 `tcp dport 22`",
			`accept`,
		},
	}},
	{name: "nat", ruleset: ipPrerouting, tests: [][]string{
		{
			`tcp dport 80 dnat to 10.0.0.1`,
			`[meta l4proto=06]`,
			"dport=0050 `tcp dport 80`",
			"nat 2 10.0.0.1-10.0.0.1:0-0 known=true `dnat to 10.0.0.1`",
		},
		{
			`tcp dport 80 dnat to 10.0.0.1:8080`,
			`[meta l4proto=06]`,
			"dport=0050 `tcp dport 80`",
			"nat 2 10.0.0.1-10.0.0.1:8080-8080 known=true `dnat to 10.0.0.1:8080`",
		},
		{`dnat to 10.0.0.1-10.0.0.9`, "nat 2 10.0.0.1-10.0.0.9:0-0 known=true `dnat to 10.0.0.1-10.0.0.9`"},
		{
			`tcp dport 80 redirect to :8080`,
			`[meta l4proto=06]`,
			"dport=0050 `tcp dport 80`",
			"nat 4 invalid IP-invalid IP:8080-8080 known=true `redirect to :8080`",
		},
		{`redirect`, "nat 4 invalid IP-invalid IP:0-0 known=true `redirect`"},
		{
			`dnat to ip saddr map { 192.0.2.1 : 10.0.0.1 }`,
			"ip saddr={c0000201:0a000001} `ip saddr { 192.0.2.1 }`",
			"nat 2 invalid IP-invalid IP:0-0 known=false `dnat to ip saddr map { … }`",
		},
		{
			`dnat to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }`,
			"opaque numgen uf `numgen inc mod 2 { … }`",
			"nat 2 invalid IP-invalid IP:0-0 known=false `dnat to numgen inc mod 2 map { … }`",
		},
		{
			`dnat ip prefix to ip daddr map { 192.0.2.0/24 : 10.0.0.0/24 }`,
			"ip daddr={c0000200-c00002ff:0a0000000a0000ff} `ip daddr { 192.0.2.0/24 }`",
			"nat 5 invalid IP-invalid IP:0-0 known=false `dnat to ip daddr map { … }`",
		},
	}},
}
