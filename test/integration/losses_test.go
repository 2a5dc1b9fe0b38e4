package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// TestTotalsWithLosses: a droptrace that stands still while packets die loses most
// of their records, and still has every rule's exact total.
func TestTotalsWithLosses(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	for _, tt := range []struct {
		name string
		ruleset
	}{
		{"nftables", ruleset{"nft", `table ip filter {
	chain others {
		udp dport 7001 counter drop
		udp dport 7002 counter reject
	}
	chain input {
		type filter hook input priority 0; policy accept;
		udp dport 7000 counter drop
		jump others
	}
}`}},
		{"iptables-legacy", ruleset{"iptables-legacy", `*filter
:INPUT ACCEPT [0:0]
:OTHERS - [0:0]
-A INPUT -p udp --dport 7000 -j DROP
-A INPUT -j OTHERS
-A OTHERS -p udp --dport 7001 -j DROP
-A OTHERS -p udp --dport 7002 -j DROP
COMMIT
`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			tt.load(t, l.host)
			l.ready(t)
			r := start(t, []*lab{l}, "--netfilter", "--buffer-size", "64K", "--port", "7000-7002")
			if r.mayNotKnow() && tt.tool == "nft" {
				return
			}
			flood(t, l, 7000, 1, 1, false) // so that its rules were read
			eventually(t, "the first drop is told", func() bool { return len(r.told(t)) > 0 })
			r.signal(t, syscall.SIGSTOP)
			for i, packets := range []int{700, 1100, 1300} {
				flood(t, l, 7000+i, packets, 3, true)
			}
			want := make(truth)
			eventually(t, "the flood has died", func() bool {
				clear(want)
				tt.count(t, l.host, want)
				return want.total() >= 3101
			})
			r.signal(t, syscall.SIGCONT)
			r.end(t)
			checkTotals(t, r, want)
		})
	}
}

// checkTotals adds up what the stream says, and looks for the sums in the closing
// summary.
func checkTotals(t *testing.T, r *tracing, want truth) {
	t.Helper()
	got := make(truth)
	var lost, toldApart uint64
	for line := range bytes.Lines(r.stdout.bytes()) {
		var v struct {
			Type                 string
			Lost, Count, Repeats uint64
			Rule                 *drop.Rule
			Places               []struct {
				Lost uint64
				Rule *drop.Rule
			}
		}
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		n := v.Count
		if v.Type == "drop" {
			n = 1 + v.Repeats
		}
		if v.Rule != nil {
			got.add(ruleOf(v.Rule), n)
		}
		lost += v.Lost
		for _, p := range v.Places {
			toldApart += p.Lost
			if p.Rule == nil {
				t.Fatalf("lost with no rule: %s", line)
			}
			got.add(ruleOf(p.Rule), p.Lost)
		}
	}
	if lost < 1000 || toldApart != lost {
		t.Errorf("%d lost, %d of them told apart", lost, toldApart)
	}
	for rule, n := range want {
		if got[rule] != n {
			t.Errorf("%d drops told, the rule counted %d: %+v", got[rule], n, rule)
		}
		line := fmt.Sprintf("%d,%03d  ", n/1000, n%1000)
		if n < 1000 {
			line = fmt.Sprintf(" %d  ", n)
		}
		if !strings.Contains(r.summary, line) {
			t.Errorf("no line of %d in the summary", n)
		}
	}
	if len(got) != len(want) || t.Failed() {
		t.Errorf("told %+v\nof %+v\n%s", got, want, r.summary)
	}
}
