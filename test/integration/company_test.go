package integration

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// Beside another program on the tracepoint the stack is another: what was
// calibrated in company must be found again alone, and the other way round.
func TestCompanyComesAndGoes(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	s := ruleset{"nft", `table ip a {
	chain in { type filter hook input priority 0; policy accept;
		udp dport 1301 counter drop
	}
}`}
	l := newLab(t)
	s.load(t, l.host)
	other := start(t, nil)
	trace := start(t, []*lab{l})
	l.ready(t)
	sent := 0
	certain := func() bool {
		packet{port: 1301}.send(t, l)
		sent++
		var drops []drop.Drop
		eventually(t, "the drop is told", func() bool {
			drops = to(trace.told(t), 1301)
			return len(drops) == sent
		})
		return drops[sent-1].Attribution.Certainty == drop.Certain || trace.mayNotKnow()
	}
	if !certain() {
		t.Error("uncertain in company")
	}
	other.stop(t)
	// While it calibrates again, droptrace itself is company for moments.
	eventually(t, "drops stay certain after the other has gone", func() bool {
		for range 3 {
			if !certain() {
				return false
			}
		}
		return true
	})
	kernel := counted(t, l, s, uint64(sent))
	for _, d := range to(of(trace.stop(t), l.host), 1301) {
		if d.Attribution.Certainty == drop.Certain && d.Rule != nil && kernel[ruleOf(d.Rule)] == 0 {
			t.Errorf("a rule that dropped nothing:\n%s", show([]drop.Drop{d}))
		}
	}
}
