package integration

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

// TestTenThousandLegacyDrops: each has a counter to be compared.
func TestTenThousandLegacyDrops(t *testing.T) {
	const rules = 10_000
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for i := range rules {
		fmt.Fprintf(&b, "-A INPUT -s 10.%d.%d.%d/32 -p udp -j DROP\n", i>>16, i>>8&0xff, i&0xff)
	}
	b.WriteString("-A INPUT -p udp --dport 4070 -j DROP\nCOMMIT\n")
	s := ruleset{"iptables-legacy", b.String()}
	l, trace := traceOne(t, s, "--netfilter")
	eventually(t, "the rules are watched", func() bool {
		packet{port: 4070}.send(t, l)
		return linux510() || bytes.Contains(trace.stdout.bytes(), []byte(`"certainty":"certain"`))
	})
	for _, d := range to(of(trace.stop(t), l.host), 4070) {
		if d.Attribution.Certainty == drop.Certain && d.Rule.Number != rules+1 {
			t.Errorf("certain of rule %d:\n%s", d.Rule.Number, show([]drop.Drop{d}))
		}
	}
}
