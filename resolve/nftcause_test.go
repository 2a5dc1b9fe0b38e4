package resolve

import (
	"testing"

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
		want    Certainty
	}{
		{"by the frame", event.MethodNFTFrame, 0, "drop", Probable},
		{"by an expression", event.MethodNFTExpression, 0, "drop", Probable},
		{"by reject's own expression", event.MethodNFTExpression, 1, "reject", Certain},
	} {
		e := &event.Event{Rule: event.RuleInfo{Kind: event.RuleNFT, Method: tt.method, Reject: tt.reject,
			TableHandle: 1, RuleHandle: 2, Generation: 3}}
		r, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		d := &Drop{Verdict: "drop", Attribution: Attribution{Certainty: Certain}}
		r.resolveCause(t.Context(), &namespace{err: errGone}, e, d)
		if d.Verdict != tt.verdict || d.Attribution.Certainty != tt.want || d.Rule.Handle != 2 {
			t.Errorf("%s: %s is %s", tt.name, d.Verdict, d.Attribution.Certainty)
		}
	}
}
