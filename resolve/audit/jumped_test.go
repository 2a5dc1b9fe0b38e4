package audit

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestRulesBehindAJumpBelowADrop(t *testing.T) {
	rs := saved(t, "-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -p tcp -j MAYBE",
		"-A MAYBE -s 10.1.0.0/16 -p tcp -m tcp --dport 80 -j ACCEPT", "-A MAYBE -p tcp -m tcp --dport 443 -j ACCEPT")
	got := claims(Look(Subject{Rulesets: []*ruleset.Ruleset{rs}}), AcceptBelowDrop, Shadowed)
	const want = "accept-below-drop: iptables-nft filter MAYBE rule 1 never accepts: all its packets are dropped by INPUT rule 1, before rule 2 leads to it"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
