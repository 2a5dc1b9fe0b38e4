package replay

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// nf_tables' fast way of loading a port does not ask whether there is one.
func TestPortsOfLaterFragmentsAreNotKnown(t *testing.T) {
	p := udp(80)
	p.Bytes[7] = 1 // an offset of 8 bytes
	wide, _ := ruleset.Payload(ruleset.Transport, 0, 8)
	for _, test := range []struct {
		name string
		m    *ruleset.Match
		want Truth
	}{
		{"a port", dport(80), Unknown},
		{"what the fast way is not for", is(wide, 0), No},
	} {
		t.Run(test.name, func(t *testing.T) {
			rules := tableOf(baseOf("prerouting", 0, "accept", statements{test.m}))
			r := At([]*ruleset.Ruleset{rules}, Hook{Family: "ip", Name: "prerouting"}, p, nil, Options{Steps: true})
			if len(r.Steps) != 1 || r.Steps[0].Truth != test.want {
				t.Errorf("steps %+v, want truth %d", r.Steps, test.want)
			}
		})
	}
}
