package diagnose

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// The kernel expects answers from others only to what went to the broadcast address of
// an own network.
func TestAnswersToBroadcasts(t *testing.T) {
	for to, want := range map[string]bool{"192.0.2.255": true, "192.0.2.7": false, "198.51.100.255": false, "255.255.255.255": false} {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "drop")
		c := dropAt(traffic{src: "192.0.2.9", dst: "192.0.2.1", proto: packet.ProtoUDP, sport: 161, dport: 40000, in: "eth0"}, base, nil, m.rulesets())
		c.Machine = &machine{local: []string{"192.0.2.1"}, networks: []string{"192.0.2.0/24"}}
		c.Each = func(visit func(*table.Entry) error) error {
			e := table.Entry{}
			e.Original.Protocol, e.Original.Source, e.Original.Destination = uint8(packet.ProtoUDP), mustAddr("192.0.2.1"), mustAddr(to)
			e.Original.SourcePort, e.Original.DestinationPort = 40000, 161
			return visit(&e)
		}
		found := false
		for _, w := range Diagnose(c) {
			found = found || w.Code == drop.WhyHelperMissing
		}
		if found != want {
			t.Errorf("to %s: helper is missing: %v, want %v", to, found, want)
		}
	}
}
