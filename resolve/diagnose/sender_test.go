package diagnose

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// The sender is another than the one the accept is for, and is named where its socket
// is known.
func TestTheSenderOfAnotherUserIsNamed(t *testing.T) {
	for uid, want := range map[int]string{-1: "its sender is another user or the kernel itself", 33: "its sender is user 33"} {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("OUTPUT", "output", "accept")
		owner := &ruleset.Match{Fields: []ruleset.Field{ruleset.SocketUID}, Ranges: []ruleset.Range{{From: []byte{0, 0, 0, 0}, To: []byte{0, 0, 0, 0}}}, Text: "--uid-owner 0"}
		m.rule("OUTPUT", "-p tcp --dport 80 -m owner --uid-owner 0 -j ACCEPT", with(tcp(80), owner, accept)...)
		d := m.rule("OUTPUT", "-p tcp --dport 80 -j DROP", with(tcp(80), drops)...)
		c := dropAt(traffic{src: "10.0.0.2", dst: "203.0.113.9", dport: 80, sport: 40000, out: "eth0"}, base, d, m.rulesets())
		c.Packet.UID = uid
		whys := Diagnose(c)
		if len(whys) == 0 || whys[0].Code != drop.WhyOwnerMismatch || !strings.Contains(whys[0].Message, want) {
			t.Errorf("uid %d: %+v", uid, whys)
		}
	}
}
