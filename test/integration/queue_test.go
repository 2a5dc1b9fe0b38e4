package integration

import (
	"slices"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

const xtQueues = `*filter
:INPUT ACCEPT [0:0]
-A INPUT -p udp --dport 3060 -j NFQUEUE --queue-num 76
-A INPUT -p udp --dport 3061 -j NFQUEUE --queue-num 77
-A INPUT -p udp --dport 3062 -j DROP
COMMIT
`

// TestQueueWithoutListener: the rules do not drop, so that none of the kernel's own
// traces leads to one; evaluated, only one of them queues the packet.
func TestQueueWithoutListener(t *testing.T) {
	checkQueues(t, ruleset{"iptables-nft", xtQueues}, ruleset{"iptables-legacy", xtQueues})
}

// TestGuestQueueWithoutListener needs nft_queue.
func TestGuestQueueWithoutListener(t *testing.T) {
	nstest.OnlyInGuests(t) // the queue of nft is a module that not every kernel has
	checkQueues(t, ruleset{"nft", `table inet filter {
	chain input {
		type filter hook input priority 0; policy accept;
		udp dport 3060 counter queue num 76
		udp dport 3061 counter queue num 77
		udp dport 3062 counter drop
	}
}`})
}

func checkQueues(t *testing.T, rulesets ...ruleset) {
	t.Helper()
	labs := make([]*lab, len(rulesets))
	for i, s := range rulesets {
		labs[i] = newLab(t)
		s.load(t, labs[i].host)
		labs[i].ready(t)
	}
	trace := start(t, labs, "--netfilter")
	for i, l := range labs {
		eventually(t, rulesets[i].tool+": the rules are read", func() bool {
			packet{port: 3061}.send(t, l)
			return slices.ContainsFunc(of(trace.drops(t), l.host), func(d drop.Drop) bool {
				return d.Attribution.Method == "replay"
			})
		})
	}
	drops := trace.stop(t)
	for i, l := range labs {
		t.Run(rulesets[i].tool, func(t *testing.T) {
			checkQueued(t, to(of(drops, l.host), 3061), counted(t, l, rulesets[i], 1))
		})
	}
}

func checkQueued(t *testing.T, drops []drop.Drop, kernel truth) {
	t.Helper()
	for _, d := range drops {
		if d.Verdict != "queue_failed" || len(d.Why) != 1 || d.Why[0].Code != "queue-without-listener" {
			t.Errorf("verdict %s, why %v\n%s", d.Verdict, d.Why, show([]drop.Drop{d}))
		}
		if d.Attribution.Certainty == drop.Unknown {
			continue // its rules were being read
		}
		rule := ruleOf(d.Rule)
		rule.Queues = true
		if kernel[rule] == 0 {
			t.Errorf("the kernel counted in %v\n%s", kernel, show([]drop.Drop{d}))
		}
	}
}
