package resolve

import (
	"context"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
)

// What only this CPU's counters say of a packet that may have come from another is
// certain where the rules leave nothing else.
func TestACountOfAnotherPacketIsNotCertain(t *testing.T) {
	g := newGuarded(t, guardLegacy)
	const softirq, sender = 1, 3 // NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT
	for _, tt := range []struct {
		name     string
		hook     uint8
		port     uint16
		rule     int
		method   event.Method
		realtime bool
		want     drop.Certainty
	}{
		{"sent, and one rule fits", sender, 7001, 1, event.MethodXTCounter, false, drop.Certain},
		{"sent, and one rule fits, of which a limit may keep it", sender, 7003, 5, event.MethodXTCounter, false, drop.Certain},
		{"sent, and two rules fit", sender, 7002, 3, event.MethodXTCounter, false, drop.Probable},
		{"sent, and another two", sender, 7002, 2, event.MethodXTCounter, false, drop.Probable},
		{"sent by the kernel, and two rules fit", sender, 7002, 3, event.MethodXTCounter, false, drop.Certain},
		{"sent by a real-time kernel, and two rules fit", sender, 7002, 3, event.MethodXTCounter, true, drop.Probable},
		{"sent, and the target was seen", sender, 7002, 3, event.MethodXTTarget, false, drop.Certain},
		{"received, one rule", softirq, 7001, 1, event.MethodXTCounter, false, drop.Certain},
		{"received where softirqs are preempted, one rule", softirq, 7001, 1, event.MethodXTCounter, true, drop.Certain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, d := g.event(t, tt.port), &drop.Drop{}
			e.Hook, g.Realtime = tt.hook, tt.realtime
			chain := "INPUT"
			if !strings.Contains(tt.name, "kernel") {
				e.Flags |= event.Task
			}
			if tt.hook == sender {
				chain, e.InIndex, e.OutIndex = "OUTPUT", 0, 2
			}
			g.legacy(t, e, chain, tt.rule, tt.method)
			g.n.xt[filterTable].since = 0
			g.n.guards.agreed.cost = share{}
			for range 2 { // the second is remembered
				g.Resolve(context.Background(), e, g.now(), d, MaxHold)
				if d.Attribution.Certainty != tt.want {
					t.Errorf("%+v of %+v", d.Attribution, d.Rule)
				}
			}
		})
	}
}

// On 6.12 with PREEMPT_RT the adversary saw one kretprobe in 33,000 name another rule.
func TestAKretprobeOfARealtimeKernelNeedsTheRules(t *testing.T) {
	g := newGuarded(t, guardRules)
	g.Realtime = true
	for rule, want := range map[int]drop.Certainty{1: drop.Certain, 2: drop.Probable} { // 2 is contradicted
		e, d := g.event(t, 7001), &drop.Drop{}
		g.nft(t, e, "in", rule, event.MethodNFTExpression)
		g.Resolve(context.Background(), e, g.now(), d, MaxHold)
		if d.Attribution.Certainty != want || d.Rule == nil || d.Rule.Number != 1 || g.Contradicted() != 0 {
			t.Errorf("rule %d: %+v of %+v", rule, d.Attribution, d.Rule)
		}
	}
}
