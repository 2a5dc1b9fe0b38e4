package xtables

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestModelOfARealTable(t *testing.T) {
	n := newNamespace(t)
	n.Run(t, "create s hash:ip,port\nadd s 10.0.0.1,80\n", "ipset", "restore")
	n.Run(t, `*filter
:INPUT DROP [0:0]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
[5:300] -A INPUT -p tcp -m tcp --dport 22 -j mine
-A INPUT -m set --match-set s dst,dst -j ACCEPT
-A INPUT -m statistic --mode nth --every 2 --packet 0 -j REJECT
-A mine -j RETURN
COMMIT
`, legacyProgram("ip", "-restore"), "-c")
	b := n.read(t, "ip", "filter")
	table, err := Model(context.Background(), n, b)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range table.Chains {
		old := b.Table.Chains[i]
		if c.Name != old.Name || c.Policy != old.Policy || len(c.Rules) != len(old.Rules) || c.Table != table {
			t.Errorf("chain %+v was %+v", c, old)
		}
		for j, r := range c.Rules {
			if was := old.Rules[j]; r == was || was.Read || !r.Read || r.Number != was.Number || r.Chain != c ||
				r.CanDrop != was.CanDrop || r.Rejects != was.Rejects {
				t.Errorf("rule %+v was %+v", r, was)
			}
		}
	}
	input := table.Chains[0].Rules
	jump := input[0].Statements[len(input[0].Statements)-1].(*ruleset.Verdict)
	if jump.Kind != ruleset.Jump || jump.Target != table.Chains[len(table.Chains)-1] {
		t.Errorf("jumps to %+v", jump.Target)
	}
	if !input[0].Counts || input[0].Packets != 5 || !strings.HasPrefix(input[0].Text, "-A INPUT -p tcp") {
		t.Errorf("rule 1 is %+v", input[0])
	}
	asked := input[1].Statements[0].(*ruleset.Any).Of[0][0].(*ruleset.Match)
	if asked.Set.Name != "s" || len(asked.Set.Elements) != 1 || !asked.Set.Complete {
		t.Errorf("asks %+v", asked.Set)
	}
	if o := input[2].Statements[0].(*ruleset.Opaque); !o.Understood || o.Kind != "random" {
		t.Errorf("rule 3 holds %+v", o)
	}
}

func TestModelOfAChangedTableIsRefused(t *testing.T) {
	n := newNamespace(t)
	n.load(t, "ip", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n")
	b := n.read(t, "ip", "filter")
	n.iptables(t, "-A", "INPUT", "-j", "DROP")
	if _, err := Model(context.Background(), n, b); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
}

func BenchmarkModel10k(b *testing.B) {
	var input strings.Builder
	input.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for i := range 10000 {
		input.WriteString("-A INPUT -s 10." + strconv.Itoa(i/256) + "." + strconv.Itoa(i%256) + ".1 -p tcp -m tcp --dport 80 -j DROP\n")
	}
	input.WriteString("COMMIT\n")
	n := newNamespace(b)
	n.load(b, "ip", input.String())
	blob := n.read(b, "ip", "filter")
	texts, err := Texts(context.Background(), n, blob)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("texts", func(b *testing.B) {
		for b.Loop() {
			if _, err := Texts(context.Background(), n, blob); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("statements", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			modelOf(blob, texts, nil)
		}
	})
}
