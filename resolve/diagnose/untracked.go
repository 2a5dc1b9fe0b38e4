package diagnose

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// notracker names the rule that keeps conntrack from the packet, or "a rule" where
// it may be one of several. "" where no rule can: conntrack itself leaves some
// packets alone, such as neighbour discovery and MLD (nf_conntrack_icmpv6_error).
func (d *diagnosis) notracker() string {
	var by []*ruleset.Rule
	for r := range d.rules() {
		s := shapeOf(r)
		if slices.ContainsFunc(r.Statements, isNoTrack) && (!s.simple() || d.evaluate([][]ruleset.Statement{s.conditions})[0] != replay.No) {
			by = append(by, r)
		}
	}
	switch {
	case len(by) == 0:
		return ""
	case len(by) > 1 || len(shapeOf(by[0]).doubts) > 0:
		return "a rule"
	}
	return d.ruleName(by[0])
}

func isNoTrack(s ruleset.Statement) bool {
	_, ok := s.(*ruleset.NoTrack)
	return ok
}

// opens reports whether the packet can only be the first of its connection.
func (d *diagnosis) opens() bool {
	switch {
	case d.f.HasTCP:
		return d.f.TCP.Flags&(packet.SYN|packet.ACK) == packet.SYN
	case d.f.HasICMP:
		return d.f.ICMP.Type == echoRequest(d.f.family())
	}
	return false
}
