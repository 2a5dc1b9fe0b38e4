package integration

import (
	"strings"
	"testing"
)

// What a queueing discipline drops is freed by a function that frees lists for
// others: the place to report is its caller's.
func TestAFreedListIsNamedByItsCaller(t *testing.T) {
	l := newLab(t)
	l.ready(t)
	configure(t, l.host, "neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent\n") // it resolves nothing
	// Its queue holds less than any packet.
	command(t, "", "tc", "-n", l.host, "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "8bit", "burst", "1600", "limit", "1")
	trace := start(t, []*lab{l}, "--dport", "8095", "--no-why")
	packet{to: clientIP, port: 8095, local: true}.send(t, l)
	eventually(t, "the drop is told", func() bool { return len(trace.told(t)) > 0 })
	for _, d := range trace.stop(t) {
		if strings.HasPrefix(d.Location, "kfree_skb_list") || !strings.Contains(d.Location, "_xmit") {
			t.Errorf("freed at %s", d.Location)
		}
	}
}
