package integration

import "testing"

func nft(text string) []ruleset { return []ruleset{{"nft", text}} }

func TestNFTables(t *testing.T) {
	const hook = "type filter hook input priority 0; policy accept;"
	check(t, []scenario{
		{"drop", nft(`table ip a {
	chain in { ` + hook + `
		udp dport 1000 counter accept
		udp dport 1001 counter drop comment "the one"
		tcp dport 1002 counter drop
	}
}`), []sent{
			udp(1000, want{}),
			udp(1001, input("rule", "drop", "a", "in", `udp dport 1001`)),
			tcp(1002, input("rule", "drop", "a", "in", `tcp dport 1002`)),
		}},
		{"jump two levels down", nft(`table ip a {
	chain second {
		udp dport 1012 counter drop
	}
	chain first {
		udp dport 1011 counter drop
		jump second
		udp dport 1013 counter drop
	}
	chain in { ` + hook + `
		jump first
		udp dport 1014 counter drop
	}
}`), []sent{
			udp(1011, input("rule", "drop", "a", "first", "1011")),
			udp(1012, input("rule", "drop", "a", "second", "1012")),
			udp(1013, input("rule", "drop", "a", "first", "1013")),
			udp(1014, input("rule", "drop", "a", "in", "1014")),
		}},
		{"goto two levels down", nft(`table ip a {
	chain second {
		udp dport 1022 counter drop
	}
	chain first {
		udp dport 1021 counter drop
		goto second
	}
	chain in { ` + hook + `
		goto first
		udp dport 1023 counter drop
	}
}`), []sent{
			udp(1021, input("rule", "drop", "a", "first", "1021")),
			udp(1022, input("rule", "drop", "a", "second", "1022")),
			udp(1023, want{}), // goto does not return
		}},
		{"verdict map", nft(`table ip a {
	chain mapped {
		counter drop comment "by map"
	}
	chain in { ` + hook + `
		udp dport 1031 counter udp dport vmap { 1031 : drop } comment "drops"
		udp dport vmap { 1032 : jump mapped, 1033 : accept }
	}
}`), []sent{
			udp(1031, input("rule", "drop", "a", "in", "vmap { 1031 : drop }")),
			udp(1032, input("rule", "drop", "a", "mapped", "by map")),
			udp(1033, want{}),
		}},
		{"policy", nft(`table ip a {
	chain in { type filter hook input priority 0; policy drop;
		meta l4proto != { tcp, udp } accept
		udp dport 1041 accept
		counter comment "policy"
	}
}`), []sent{udp(1041, want{}), udp(1042, input("policy", "drop", "a", "in", "")),
			tcp(1043, input("policy", "drop", "a", "in", ""))}},
		{"policy after a chain returned", nft(`table ip a {
	chain user {
		udp dport 1051 return
		udp dport 1052 counter drop
	}
	chain in { type filter hook input priority 0; policy drop;
		meta l4proto != { tcp, udp } accept
		jump user
		udp dport 1054 counter return comment "policy"
		counter comment "policy"
	}
}`), []sent{
			udp(1054, input("policy", "drop", "a", "in", "")),
			udp(1051, input("policy", "drop", "a", "in", "")),
			udp(1052, input("rule", "drop", "a", "user", "1052")),
			udp(1053, input("policy", "drop", "a", "in", "")),
		}},
		{"reject", nft(`table inet a {
	chain in { ` + hook + `
		tcp dport 1061 counter reject with tcp reset
		udp dport 1062 counter reject
		udp dport 1063 counter reject with icmpx type admin-prohibited
	}
}`), []sent{
			tcp(1061, input("rule", "reject", "a", "in", "tcp reset")),
			udp(1062, input("rule", "reject", "a", "in", "1062")),
			udp(1063, input("rule", "reject", "a", "in", "admin-prohibited")),
		}},
		{"the second of two tables", nft(`table ip one {
	chain in { type filter hook input priority 0; policy accept;
		udp dport 1071 counter accept
		udp dport 1072 counter drop
	}
}
table ip two {
	chain in { type filter hook input priority 10; policy accept;
		udp dport 1071 counter drop
		udp dport 1073 counter drop
	}
}`), []sent{
			udp(1071, input("rule", "drop", "two", "in", "1071")),
			udp(1072, input("rule", "drop", "one", "in", "1072")),
			udp(1073, input("rule", "drop", "two", "in", "1073")),
		}},
		{"named set", nft(`table ip a {
	set bad { type inet_service; elements = { 1081, 1082 } }
	chain in { ` + hook + `
		udp dport @bad counter drop
	}
}`), []sent{udp(1081, input("rule", "drop", "a", "in", "@bad")), udp(1083, want{})}},
		{"families", nft(`table ip a {
	chain in { ` + hook + `
		udp dport 1091 counter drop
	}
}
table ip6 a {
	chain in { ` + hook + `
		udp dport 1092 counter drop
	}
}
table inet a {
	chain in { ` + hook + `
		udp dport 1093-1094 counter drop
	}
}`), families()},
		{"netdev ingress", nft(`table netdev a {
	chain in { type filter hook ingress device eth0 priority 0; policy accept;
		udp dport 1101 counter drop
	}
}`), []sent{udp(1100, want{}), udp(1101, want{
			cause: "rule", verdict: "drop", family: "netdev", table: "a", chain: "in",
			hook: "ingress", in: "eth0", text: "1101",
		})}},
		{"forward", nft(`table ip a {
	chain user {
		udp dport 1111 counter drop
		udp dport 1112 counter reject
	}
	chain through { type filter hook forward priority 0; policy accept;
		jump user
	}
	chain in { ` + hook + `
		jump user
	}
}`), forwarded()},
		{"output", nft(`table ip a {
	chain out { type filter hook output priority 0; policy accept;
		udp dport 1121 counter drop
	}
}`), []sent{{packet{to: clientIP, port: 1121, local: true}, want{
			cause: "rule", verdict: "drop", table: "a", chain: "out", hook: "output", out: "eth0", text: "1121",
		}}}},
	})
}

func families() []sent {
	ip, ip6 := input("rule", "drop", "a", "in", "1091"), input("rule", "drop", "a", "in", "1092")
	ip.family, ip6.family = "ip", "ip6"
	inet := input("rule", "drop", "a", "in", "1093-1094")
	inet.family = "inet"
	return []sent{
		udp(1091, ip), {packet{port: 1092, to: hostIP6}, ip6},
		udp(1093, inet), {packet{port: 1094, to: hostIP6}, inet},
	}
}

// forwarded packets meet the chain that input leads to as well.
func forwarded() []sent {
	drop := input("rule", "drop", "a", "user", "1111")
	drop.hook, drop.out, drop.base = "forward", "eth1", "through"
	reject := drop
	reject.verdict, reject.text = "reject", "1112"
	return []sent{
		{packet{port: 1111, to: serverIP}, drop},
		{packet{port: 1112, to: serverIP}, reject},
	}
}
