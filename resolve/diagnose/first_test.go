package diagnose

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// An entry sends it to .77. What the rules say of its first packet is known of what
// that one shares with the ACK that was dropped.
func TestStaleByTheFirstPacket(t *testing.T) {
	to := func(a string) *ruleset.NAT {
		return &ruleset.NAT{Kind: ruleset.DNAT, From: netip.MustParseAddr(a), To: netip.MustParseAddr(a), Known: true}
	}
	old, other := to("198.51.100.77"), to("198.51.100.2")
	length := func() *ruleset.Match { return equal(binary.BigEndian.AppendUint32(nil, 1400), ruleset.Length) }
	for name, test := range map[string]struct {
		rule []ruleset.Statement
		want string // "" for no sentence
	}{
		"SYN":                        {with(tcp(80), equal([]byte{byte(packet.SYN)}, ruleset.TCPFlags), old), ""},
		"another interface":          {with(tcp(80), in("eth5"), old), ""},
		"length":                     {with(tcp(80), length(), old), ""},
		"DSCP":                       {with(tcp(80), equal([]byte{8}, ruleset.IPDSCP), old), ""},
		"TTL":                        {with(tcp(80), equal([]byte{3}, ruleset.IPTTL), old), ""},
		"another port":               {with(tcp(81), old), "no rule does so now"},
		"another source":             {with(tcp(80), src("10.0.0.0/8"), old), "no rule does so now"},
		"another destination":        {with(tcp(80), other), "would now send it to 198.51.100.2:80"},
		"another destination, maybe": {with(tcp(80), length(), other), "no rule does so now"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(ruleset.IPTablesNFT, "ip", "nat")
			m.base("PREROUTING", "prerouting", "accept").Type = "nat"
			m.rule("PREROUTING", "", test.rule...)
			f := newModel(ruleset.IPTablesNFT, "ip", "filter")
			base := f.base("FORWARD", "forward", "drop")
			ack := traffic{src: "203.0.113.9", dst: "198.51.100.77", sport: 40000, dport: 80, flags: packet.ACK, in: "eth0", out: "eth1"}
			c := dropAt(ack, base, nil, m.rulesets(f))
			c.Packet.Conntrack = replay.Conntrack{
				State: ruleset.CTEstablished, Entry: true, Status: netfilter.StatusConfirmed | netfilter.StatusDNAT, Protocol: uint8(packet.ProtoTCP),
				Original: replay.Tuple{Source: mustAddr("203.0.113.9").AsSlice(), Destination: mustAddr("192.0.2.1").AsSlice(), SourcePort: 40000, DestinationPort: 80},
				Reply:    replay.Tuple{Source: mustAddr("198.51.100.77").AsSlice(), Destination: mustAddr("203.0.113.9").AsSlice(), SourcePort: 80, DestinationPort: 40000},
			}
			c.Machine = &machine{}
			var said string
			for _, w := range Diagnose(c) {
				if w.Code == drop.WhyConntrackStale {
					said = w.Message
				}
			}
			if test.want == "" && said != "" || !strings.Contains(said, test.want) {
				t.Errorf("says %q, want %q", said, test.want)
			}
		})
	}
}
