package nftables

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestModelOfIPTablesRulesComesFromTheirText(t *testing.T) {
	n := newNamespace(t)
	n.Run(t, "create s hash:net\nadd s 10.0.0.0/8\n", "ipset", "restore")
	n.Run(t, `*filter
:INPUT DROP [0:0]
-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m comment --comment ssh -j ACCEPT
-A INPUT -m set --match-set s src -j REJECT --reject-with icmp-port-unreachable
-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP
COMMIT
`, "iptables-nft-restore")
	rules := n.model(t).Tables[0].Chains[0].Rules
	for i, r := range rules {
		if !strings.HasPrefix(r.Text, "-A INPUT ") || !r.Read || r.Handle == 0 {
			t.Errorf("rule %d is %+v", i+1, r)
		}
		for _, s := range r.Statements {
			if o, ok := s.(*ruleset.Opaque); ok {
				t.Errorf("rule %d: %s is not understood", i+1, o.Text)
			}
		}
	}
	// nf_tables looks at the port, x_tables' code at the state: no look at the
	// whole TCP header.
	if s := rules[0].Statements; len(s) != 4 || rules[0].Comment != "ssh" {
		t.Errorf("rule 1 holds %d statements, comment %q", len(s), rules[0].Comment)
	}
	asked := rules[1].Statements[0].(*ruleset.Any).Of[0][0].(*ruleset.Match)
	if len(asked.Set.Elements) != 1 || rules[1].Statements[1].(*ruleset.Verdict).Kind != ruleset.Reject {
		t.Errorf("rule 2 asks %+v", asked.Set)
	}
	if h, ok := rules[2].Statements[1].(*ruleset.Header); !ok || h.Short != ruleset.ShortDrops {
		t.Errorf("rule 3 holds %+v", rules[2].Statements)
	}
}

// iptables-nft-save shows rules that nft has put into its tables wrong: they
// stay as their bytecode is.
func TestModelOfNFTsRulesInATableOfIPTables(t *testing.T) {
	n := newNamespace(t)
	n.iptables(t, "iptables-nft -A INPUT -m statistic --mode random --probability 0.5 -j ACCEPT")
	n.nft(t, "add rule ip filter INPUT ip saddr { 10.0.0.1, 10.0.0.2 } counter drop\n")
	rules := n.model(t).Tables[0].Chains[0].Rules
	if rules[0].Text == "" || !strings.HasPrefix(rules[1].Text, "ip saddr") {
		t.Errorf("texts are %q and %q", rules[0].Text, rules[1].Text)
	}
	if m, ok := rules[1].Statements[0].(*ruleset.Match); !ok || m.Set == nil || len(m.Set.Elements) != 2 {
		t.Errorf("rule 2 holds %+v", rules[1].Statements)
	}
}

func BenchmarkTexts10k(b *testing.B) {
	var input strings.Builder
	input.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for i := range 10000 {
		fmt.Fprintf(&input, "-A INPUT -s 10.%d.%d.0/24 -p tcp -m tcp --dport %d -m conntrack --ctstate NEW -j DROP\n",
			i/256, i%256, i)
	}
	input.WriteString("COMMIT\n")
	n := newNamespace(b)
	n.Run(b, input.String(), "iptables-nft-restore")
	s := n.read(b)
	b.Run("program", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.texts.save(context.Background(), s.tables[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	rules := n.model(b)
	table := rules.Tables[0]
	b.Run("statements", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			reader := iptables.NewReader(table, nil, nil)
			for _, r := range table.Chains[0].Rules {
				if err := reader.Read(r, r.Text, func(match string) bool { return match == "conntrack" }); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("bytecode and all", func(b *testing.B) {
		for b.Loop() {
			n.model(b)
		}
	})
}
