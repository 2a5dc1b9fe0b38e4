package resolve

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/event"
)

func TestOnlyDropsOfRulesThatAreNotKnownAreReplayed(t *testing.T) {
	unknown := drop.Drop{Verdict: "drop", Cause: "rule", Attribution: drop.Attribution{Certainty: drop.Unknown}}
	tests := []struct {
		name   string
		change func(*event.Event, *drop.Drop)
		want   bool
	}{
		{"rule not known", func(*event.Event, *drop.Drop) {}, true},
		{"certain", func(_ *event.Event, d *drop.Drop) { d.Attribution.Certainty = drop.Certain }, false},
		{"probable", func(_ *event.Event, d *drop.Drop) { d.Attribution.Certainty = drop.Probable }, false},
		{"no hook", func(e *event.Event, _ *drop.Drop) { e.Hook = event.NoHook }, false},
		{"table replaced at an unknown time", func(e *event.Event, _ *drop.Drop) { e.Flags = event.XTStale }, false},
		{"no program behind a queue", func(_ *event.Event, d *drop.Drop) { d.Verdict, d.Cause = queueFailed, "hook" }, true},
		{"conntrack's hook", func(_ *event.Event, d *drop.Drop) { d.Cause, d.Function = "hook", "ipv4_conntrack_in" }, false},
		{"a hook with rules", func(_ *event.Event, d *drop.Drop) { d.Cause, d.Function = "hook", "ipt_do_table" }, true},
	}
	for _, tt := range tests {
		e, d := event.Event{Hook: 1}, unknown
		tt.change(&e, &d)
		if got := replayable(&e, &d); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestPlacesAreHeldAgainstTheTableThatIsKnown(t *testing.T) {
	table := &ruleset.Table{Engine: ruleset.IPTablesLegacy, Family: "ip", Name: "filter"}
	base := &ruleset.Chain{Table: table, Name: "INPUT", Hook: "input"}
	p := replay.Place{Chain: base, Base: base}
	for _, tt := range []struct {
		known *drop.Rule
		want  bool
	}{
		{nil, true},
		{&drop.Rule{Engine: "iptables-legacy", Family: "ip", Table: "filter"}, true},
		{&drop.Rule{Engine: "iptables-legacy", Family: "ip", Table: "mangle"}, false},
		{&drop.Rule{Engine: "iptables-nft", Family: "ip", Table: "filter"}, false},
		{&drop.Rule{Engine: "iptables-legacy", Family: "ip", Table: "filter", BaseChain: "OUTPUT"}, false},
	} {
		if got := fits(p, tt.known); got != tt.want {
			t.Errorf("%+v: %v", tt.known, got)
		}
	}
}
