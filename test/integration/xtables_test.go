package integration

import "testing"

func TestIPTablesNFT(t *testing.T) {
	check(t, []scenario{
		{"ip", []ruleset{{"iptables-nft", `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:user - [0:0]
-A INPUT -p udp --dport 2001 -m comment --comment "dropped here" -j DROP
-A INPUT -p udp --dport 2002 -m comment --comment "rejected here" -j REJECT
-A INPUT -p tcp --dport 2003 -j REJECT --reject-with tcp-reset
-A INPUT -j user
-A user -p udp --dport 2004 -j DROP
COMMIT
`}}, []sent{
			udp(2000, want{}),
			udp(2001, input("rule", "drop", "filter", "INPUT", "dropped here")),
			udp(2002, input("rule", "reject", "filter", "INPUT", "rejected here")),
			tcp(2003, input("rule", "reject", "filter", "INPUT", "2003")),
			udp(2004, input("rule", "drop", "filter", "user", "2004")),
		}},
		{"policy", []ruleset{{"iptables-nft", `*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp --dport 2010 -j ACCEPT
-A INPUT -p udp -m comment --comment policy
COMMIT
`}}, []sent{udp(2010, want{}), udp(2011, input("policy", "drop", "filter", "INPUT", ""))}},
		{"ip6", []ruleset{{"ip6tables-nft", `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp --dport 2021 -m comment --comment "six" -j DROP
COMMIT
`}}, []sent{{packet{port: 2021, to: hostIP6}, input("rule", "drop", "filter", "INPUT", "six")}}},
	})
}

func TestIPTablesLegacy(t *testing.T) {
	check(t, []scenario{
		{"drop and reject", legacy(`*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp --dport 3000 -j ACCEPT
-A INPUT -p udp --dport 3001 -m comment --comment "dropped here" -j DROP
-A INPUT -p udp --dport 3002 -j REJECT
-A INPUT -p tcp --dport 3003 -j REJECT --reject-with tcp-reset
COMMIT
`), []sent{
			udp(3000, want{}),
			udp(3001, input("rule", "drop", "filter", "INPUT", "dropped here")),
			udp(3002, input("rule", "reject", "filter", "INPUT", "3002")),
			tcp(3003, input("rule", "reject", "filter", "INPUT", "tcp-reset")),
		}},
		{"policy", legacy(`*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:user - [0:0]
-A INPUT -p udp --dport 3010 -j ACCEPT
-A INPUT -j user
-A user -p udp --dport 3011 -j RETURN
-A user -p udp --dport 3012 -j DROP
COMMIT
`), []sent{
			udp(3010, want{}),
			udp(3011, input("policy", "drop", "filter", "INPUT", "")),
			udp(3012, input("rule", "drop", "filter", "user", "3012")),
			udp(3013, input("policy", "drop", "filter", "INPUT", "")),
		}},
		{"chain of two hooks", legacy(`*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:user - [0:0]
-A INPUT -j user
-A OUTPUT -j user
-A user -p udp --dport 3021:3022 -j DROP
COMMIT
`), shared()},
		{"raw and mangle", legacy(`*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p udp --dport 3031 -j DROP
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p udp --dport 3032 -j DROP
-A INPUT -p udp --dport 3033 -j DROP
COMMIT
`), []sent{
			udp(3031, at("prerouting", "raw", "PREROUTING", "3031")),
			udp(3032, at("prerouting", "mangle", "PREROUTING", "3032")),
			udp(3033, at("input", "mangle", "INPUT", "3033")),
		}},
		{"ip6", []ruleset{{"ip6tables-legacy", `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp --dport 3041 -j DROP
-A INPUT -p udp --dport 3042 -j REJECT
COMMIT
`}}, []sent{
			{packet{port: 3041, to: hostIP6}, input("rule", "drop", "filter", "INPUT", "3041")},
			{packet{port: 3042, to: hostIP6}, input("rule", "reject", "filter", "INPUT", "3042")},
		}},
		{"forward", legacy(`*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -i eth0 -o eth1 -p udp --dport 3051 -j DROP
COMMIT
`), []sent{{packet{port: 3051, to: serverIP}, want{
			cause: "rule", verdict: "drop", table: "filter", chain: "FORWARD", text: "3051",
			hook: "forward", in: "eth0", out: "eth1",
		}}}},
	})
}

func legacy(text string) []ruleset { return []ruleset{{"iptables-legacy", text}} }

func shared() []sent {
	in, out := at("input", "filter", "user", "3021"), at("output", "filter", "user", "3021")
	in.base, out.base = "INPUT", "OUTPUT"
	out.in, out.out = "", "eth0"
	return []sent{
		udp(3021, in),
		{packet{port: 3022, to: clientIP, local: true}, out},
	}
}

func at(hook, table, chain, text string) want {
	w := input("rule", "drop", table, chain, text)
	w.hook = hook
	return w
}
