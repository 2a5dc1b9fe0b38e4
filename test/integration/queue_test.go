package integration

import (
	"bytes"
	"testing"

	"github.com/droptrace/droptrace/resolve"
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
	for _, tool := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(tool, func(t *testing.T) { checkQueue(t, ruleset{tool, xtQueues}) })
	}
}

// TestGuestQueueWithoutListener needs nft_queue.
func TestGuestQueueWithoutListener(t *testing.T) {
	checkQueue(t, ruleset{"nft", `table inet filter {
	chain input {
		type filter hook input priority 0; policy accept;
		udp dport 3060 counter queue num 76
		udp dport 3061 counter queue num 77
		udp dport 3062 counter drop
	}
}`})
}

func checkQueue(t *testing.T, s ruleset) {
	t.Helper()
	l, trace := traceOne(t, s, "--netfilter")
	eventually(t, "the rules are read", func() bool {
		packet{port: 3061}.send(t, l)
		return bytes.Contains(trace.stdout.bytes(), []byte(`"method":"replay"`))
	})
	kernel := counted(t, l, s, 1)
	for _, d := range to(of(trace.stop(t), l.host), 3061) {
		if d.Verdict != "queue_failed" || len(d.Why) != 1 || d.Why[0].Code != "queue-without-listener" {
			t.Errorf("verdict %s, why %v\n%s", d.Verdict, d.Why, show([]resolve.Drop{d}))
		}
		if d.Attribution.Certainty == resolve.Unknown {
			continue // its rules were being read
		}
		rule := ruleOf(d.Rule)
		rule.Queues = true
		if kernel[rule] == 0 {
			t.Errorf("the kernel counted in %v\n%s", kernel, show([]resolve.Drop{d}))
		}
	}
}
