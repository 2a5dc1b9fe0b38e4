package integration

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// Without CAP_SYSLOG the kernel shows no addresses, as with kptr_restrict=2: the drop
// is told, and its rule is not made up.
func TestHiddenSymbolsLeaveThePacket(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "it has to know the functions")
	const caps = "-syslog"
	s := ruleset{"nft", "table ip t {\n chain in {\n type filter hook input priority 0;\n udp dport 4071 counter drop\n }\n}"}
	l := newLab(t)
	s.load(t, l.host)
	trace := startBy(t, []string{"setpriv", "--inh-caps", caps, "--bounding-set", caps}, []*lab{l})
	l.ready(t)
	packet{port: 4071}.send(t, l)
	counted(t, l, s, 1)
	drops := to(of(trace.stop(t), l.host), 4071)
	if len(drops) != 1 {
		t.Fatalf("%d records, want 1:\n%s", len(drops), show(drops))
	}
	if a := drops[0].Attribution; a.Certainty == drop.Certain && drops[0].Cause == "kernel" {
		t.Errorf("netfilter's drop is the kernel's own:\n%s", show(drops))
	}
}
