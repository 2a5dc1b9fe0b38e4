package diagnose

import (
	"fmt"
	"regexp"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// firewalldDeny matches the chain of a zone for what is blocked by name:
// filter_IN_public_deny, with the iptables backend IN_public_deny.
var firewalldDeny = regexp.MustCompile(`^(?:filter_)?(?:IN|FWD|FWDI)_(.+)_deny$`)

// icmpBlocked tells what a zone of firewalld blocks by ICMP type: the block is one
// setting, which a rule of the zone that accepts comes too late for.
func (d *diagnosis) icmpBlocked() []drop.Why {
	p := d.c.Place
	if p.Rule == nil || !d.f.HasICMP || ownerOf(p.Chain, p.Rule) != Firewalld {
		return nil
	}
	zone := firewalldDeny.FindStringSubmatch(p.Chain.Name)
	s := shapeOf(p.Rule)
	if zone == nil || s.odd || s.has(ruleset.ICMPType, ruleset.ICMPTypeCode) == nil {
		return nil
	}
	w := drop.Why{Code: drop.WhyICMPBlocked, Message: fmt.Sprintf("zone %s of firewalld blocks %s", zone[1], d.f.service())}
	if d.f.ICMP.Type == echoRequest(d.f.family()) {
		w.Message = fmt.Sprintf("zone %s of firewalld blocks pings (icmp-block echo-request)", zone[1])
		if d.accepts(d.without(p.Rule).rulesets, &d.c.Packet) {
			w.Fix = d.c.Namespace.in(d.shell("firewall-cmd", "--zone="+zone[1], "--remove-icmp-block=echo-request"))
		}
	}
	return []drop.Why{w}
}
