package nftables

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestEngineOfIPTablesTables(t *testing.T) {
	ns := newNamespace(t)
	// A rule in each chain that they make, and none in one.
	ns.iptables(t, `set -e
for x in iptables ip6tables; do
	for c in INPUT FORWARD OUTPUT; do $x-nft -A $c; $x-nft -t security -A $c; done
	for c in PREROUTING INPUT OUTPUT POSTROUTING; do $x-nft -t nat -A $c; done
	for c in PREROUTING INPUT FORWARD OUTPUT POSTROUTING; do $x-nft -t mangle -A $c; done
	$x-nft -t raw -P OUTPUT DROP
done
for c in INPUT OUTPUT; do arptables-nft -A $c -j DROP; done
for c in INPUT FORWARD OUTPUT; do ebtables-nft -A $c -j DROP; done
for c in PREROUTING OUTPUT POSTROUTING; do ebtables-nft -t nat -A $c; done
iptables-nft -N unused
# iptables-nft lists and edits a table to which nft has added.
nft add rule ip mangle INPUT counter drop
`)
	tables := ns.read(t).Ruleset().Tables
	if len(tables) != 13 {
		t.Errorf("%d tables, want 13", len(tables))
	}
	for _, tb := range tables {
		if tb.Engine != ruleset.IPTablesNFT {
			t.Errorf("table %s %s: engine %s", tb.Family, tb.Name, tb.Engine)
		}
	}
}

func TestEngineOfHandMadeTables(t *testing.T) {
	for name, rules := range map[string]string{
		"no chain":          "table ip filter {\n}\n",
		"no base chain":     "table ip filter {\n chain INPUT {\n counter drop\n }\n}\n",
		"own chain":         "table ip filter {\n chain input { type filter hook input priority 0;\n }\n}\n",
		"own chain beside":  "table ip filter {\n chain INPUT { type filter hook input priority 0;\n }\n chain mine { type filter hook input priority 0;\n }\n}\n",
		"own priority":      "table ip filter {\n chain INPUT { type filter hook input priority 1;\n }\n}\n",
		"other hook":        "table ip filter {\n chain INPUT { type filter hook output priority 0;\n }\n}\n",
		"other type":        "table ip mangle {\n chain OUTPUT { type filter hook output priority -150;\n }\n}\n",
		"other name":        "table ip firewall {\n chain INPUT { type filter hook input priority 0;\n }\n}\n",
		"other family":      "table inet filter {\n chain INPUT { type filter hook input priority 0;\n }\n}\n",
		"no counters":       "table ip filter {\n chain INPUT { type filter hook input priority 0;\n tcp dport 80 drop\n }\n}\n",
		"counters on some":  "table ip filter {\n chain INPUT { type filter hook input priority 0;\n tcp dport 80 counter drop\n tcp dport 81 drop\n }\n}\n",
		"bridge, other one": "table bridge filter {\n chain INPUT { type filter hook input priority 0;\n }\n}\n",
	} {
		ns := newNamespace(t)
		ns.nft(t, rules)
		if tb := ns.read(t).Ruleset().Tables[0]; tb.Engine != ruleset.NFTables {
			t.Errorf("%s: engine %s", name, tb.Engine)
		}
	}
}

// One rule that only iptables-nft can write outweighs one without a counter.
func TestEngineOfMixedTable(t *testing.T) {
	ns := newNamespace(t)
	ns.iptables(t, "iptables-nft -A INPUT -j LOG && nft add rule ip filter INPUT tcp dport 80 drop")
	s := ns.read(t)
	if tb := s.Ruleset().Tables[0]; tb.Engine != ruleset.IPTablesNFT {
		t.Errorf("engine %s", tb.Engine)
	}
	texts, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "filter", "INPUT"))
	if err != nil || len(texts) != 2 {
		t.Fatalf("texts %q, %v", texts, err)
	}
	t.Logf("%q", texts)
}

// Where iptables does not understand its own table any more, nft does.
func TestEngineOfIncompatibleTable(t *testing.T) {
	ns := newNamespace(t)
	ns.iptables(t, `iptables-nft -A INPUT -j REJECT && nft 'add rule ip filter INPUT ip saddr { 1.1.1.1, 2.2.2.2 } tcp dport vmap { 1 : drop }'`)
	s := ns.read(t)
	texts, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "filter", "INPUT"))
	if err != nil || len(texts) != 2 || texts[1] != "ip saddr { 1.1.1.1, 2.2.2.2 } tcp dport vmap { 1 : drop }" {
		t.Errorf("texts %q, %v", texts, err)
	}
}

func TestHostileIPTablesComment(t *testing.T) {
	ns := newNamespace(t)
	ns.iptables(t, `iptables-nft -A INPUT -m comment --comment 'x"
-A INPUT -j ACCEPT
# ' -j DROP && iptables-nft -A INPUT -s 1.2.3.4 -j DROP`)
	s := ns.read(t)
	texts, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "filter", "INPUT"))
	if err != nil || len(texts) != 2 || texts[1] != "ip saddr 1.2.3.4 counter drop" {
		t.Errorf("texts %q, %v; want nft's, because iptables' cannot be told apart", texts, err)
	}
}
