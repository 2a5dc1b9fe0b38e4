package model

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/test/nstest"
)

// read makes a namespace with these commands and reads its model.
func read(t testing.TB, commands string) *Model {
	t.Helper()
	n := nstest.New(t)
	n.Run(t, commands, "sh", "-e")
	return readNamespace(t, n)
}

func readNamespace(t testing.TB, n *nstest.Namespace) *Model {
	t.Helper()
	ctx := context.Background()
	h, err := netns.Open(netns.Namespace{Inode: n.Inode(t), Path: n.Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	nft, err := nftables.Read(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := xtables.Tables(h)
	if err != nil {
		t.Fatal(err)
	}
	var blobs []*xtables.Blob
	for _, id := range ids {
		b, err := xtables.Read(h, id)
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, b)
	}
	m, err := Read(ctx, h, nft, blobs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func table(t *testing.T, m *Model, engine ruleset.Engine, name string) *ruleset.Table {
	t.Helper()
	for _, rs := range m.Rulesets {
		for _, table := range rs.Tables {
			if table.Engine == engine && table.Name == name {
				return table
			}
		}
	}
	t.Fatalf("no %s table %s", engine, name)
	return nil
}

// kinds are the statements' types, for what a rule has come to.
func kinds(r *ruleset.Rule) string {
	var out []string
	for _, s := range r.Statements {
		name := strings.TrimPrefix(fmt.Sprintf("%T", s), "*ruleset.")
		if o, ok := s.(*ruleset.Opaque); ok {
			name += " " + o.Kind
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

// x_tables code in nf_tables, and legacy rules, are read by their words; jumps
// lead into the model.
func TestAllEnginesAreReadWithWhatTheirRulesDo(t *testing.T) {
	m := read(t, `ipset create friends hash:ip
ipset add friends 192.0.2.2
nft add table inet fw
nft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'
nft add rule inet fw in tcp dport 22 accept
iptables-nft -N user
iptables-nft -A INPUT -m addrtype --dst-type LOCAL -p tcp -m multiport --dports 80,443 -j user
iptables-nft -A user -m set --match-set friends src -m comment --comment 'a "name"' -j ACCEPT
iptables-legacy -N old
iptables-legacy -A INPUT -p udp --dport 53 -g old
iptables-legacy -A old -m limit --limit 1/sec -j DROP`)
	if len(m.Rulesets) != 2 {
		t.Fatalf("%d rulesets", len(m.Rulesets))
	}
	nft := table(t, m, ruleset.NFTables, "fw").Chains[0].Rules[0]
	if got := kinds(nft); got != "Match, Match, Verdict" {
		t.Errorf("nft: %s", got)
	}
	filter := table(t, m, ruleset.IPTablesNFT, "filter")
	user, input := chainNamed(filter, "user"), chainNamed(filter, "INPUT")
	jump := input.Rules[0].Statements[len(input.Rules[0].Statements)-1].(*ruleset.Verdict)
	if jump.Kind != ruleset.Jump || jump.Target != user {
		t.Errorf("the jump does not lead into the model: %+v", jump)
	}
	if strings.Contains(kinds(input.Rules[0]), "Opaque") {
		t.Errorf("iptables-nft: %s", kinds(input.Rules[0]))
	}
	if got := kinds(user.Rules[0]); got != "Any, Verdict" || user.Rules[0].Comment != `a "name"` {
		t.Errorf("iptables-nft with an ipset: %s, comment %q", got, user.Rules[0].Comment)
	}
	legacy := table(t, m, ruleset.IPTablesLegacy, "filter")
	old := chainNamed(legacy, "old")
	if !old.Rules[0].Counts {
		t.Error("iptables-legacy: the rule has no counter")
	}
	last := chainNamed(legacy, "INPUT").Rules[0].Statements
	if v := last[len(last)-1].(*ruleset.Verdict); v.Kind != ruleset.Goto || v.Target != old {
		t.Errorf("the goto does not lead into the model: %+v", v)
	}
	if got := kinds(old.Rules[0]); got != "Opaque limit, Verdict" {
		t.Errorf("iptables-legacy: %s", got)
	}
	for _, r := range []*ruleset.Rule{nft, input.Rules[0], old.Rules[0]} {
		if m.Rule(r) != r || m.Text(context.Background(), r) == "" {
			t.Errorf("rule %d of %s is not found again, or has no text", r.Number, r.Chain.Name)
		}
	}
	if other := *nft; m.Rule(&ruleset.Rule{Chain: other.Chain, Number: 1, Handle: other.Handle + 1}) != nil {
		t.Error("a rule of another handle is taken for this one")
	}
}

func BenchmarkRead10kIPTablesNFT(b *testing.B) {
	n := nstest.New(b)
	var file strings.Builder
	file.WriteString("*filter\n:INPUT DROP [0:0]\n")
	for i := range 10_000 {
		fmt.Fprintf(&file, "-A INPUT -s 10.0.%d.%d/32 -p tcp -m multiport --dports %d,%d -j ACCEPT\n", i>>8, i&255, i+1, i+2)
	}
	file.WriteString("COMMIT\n")
	n.Run(b, file.String(), "iptables-nft-restore")
	for b.Loop() {
		readNamespace(b, n)
	}
}
