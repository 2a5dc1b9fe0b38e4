package xtables

// everyTable is a ruleset for each table: jumps within jumps, gotos, chains that
// two hooks share, rules with no target, rules behind one that takes everything.
// @unreachable stands for what a family calls that answer.
func everyTable() map[string]string {
	return map[string]string{
		"raw": `*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 7001 -j DROP
-A OUTPUT -m comment --comment "not tracked" -j CT --notrack
COMMIT
`,
		"mangle": `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:marks - [0:0]
-A PREROUTING -j marks
-A OUTPUT -j marks
-A POSTROUTING -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A marks -m mark --mark 0x1 -j RETURN
-A marks -j MARK --set-xmark 0x1/0xffffffff
COMMIT
`,
		"nat": `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
`,
		"filter": `*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:inner - [0:0]
:last - [0:0]
:shared - [0:0]
:unused - [0:0]
-A INPUT -p udp -m udp --dport 7002 -m comment --comment "he said \"no\", then left" -j DROP
-A INPUT -p udp -m udp --dport 7003 -j REJECT --reject-with @unreachable
-A INPUT -p tcp
-A INPUT -p udp -m udp --dport 7004:7005 -j shared
-A INPUT -p udp -m udp --dport 7007 -g last
-A INPUT -p udp -m udp --dport 7008 -j NFQUEUE --queue-num 9
-A FORWARD -j ACCEPT
-A FORWARD -j DROP
-A OUTPUT -j shared
-A OUTPUT -p udp -m udp --dport 7006 -j RETURN
-A inner -p udp -m udp --dport 7005 -j DROP
-A inner -j LOG --log-prefix "inner: "
-A last -j RETURN
-A last -j DROP
-A shared -i lo -p udp -m udp --dport 7004 -j DROP
-A shared -i lo -j inner
-A shared -m conntrack --ctstate INVALID -j DROP
-A unused -j REJECT --reject-with @unreachable
COMMIT
`,
		"security": `*security
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT DROP [0:0]
-A OUTPUT -o lo -j ACCEPT
COMMIT
`,
	}
}

// answers fills in what a family calls the REJECT answer.
func answers(family string) string {
	if family == "ip6" {
		return "icmp6-port-unreachable"
	}
	return "icmp-port-unreachable"
}
