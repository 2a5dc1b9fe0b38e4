package resolve

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
)

// The expression that dropped may be any target of iptables-nft: only the rule's
// text tells a REJECT from a DROP.
func TestARuleThatCannotBeReadMayReject(t *testing.T) {
	for _, tt := range []struct {
		name    string
		method  event.Method
		reject  uint8
		verdict string
		want    drop.Certainty
	}{
		{"by the frame", event.MethodNFTFrame, 0, "drop", drop.Probable},
		{"by an expression", event.MethodNFTExpression, 0, "drop", drop.Probable},
		{"by reject's own expression", event.MethodNFTExpression, 1, "reject", drop.Certain},
	} {
		e := &event.Event{Rule: event.RuleInfo{Kind: event.RuleNFT, Method: tt.method, Reject: tt.reject,
			TableHandle: 1, RuleHandle: 2, Generation: 3}}
		r, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		d := &drop.Drop{Verdict: "drop", Attribution: drop.Attribution{Certainty: drop.Certain}}
		r.resolveCause(t.Context(), &namespace{err: errGone}, e, d)
		if d.Verdict != tt.verdict || d.Attribution.Certainty != tt.want || d.Rule.Handle != 2 {
			t.Errorf("%s: %s is %s", tt.name, d.Verdict, d.Attribution.Certainty)
		}
	}
}
