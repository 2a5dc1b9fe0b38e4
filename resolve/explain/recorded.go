package explain

import (
	"errors"
	"fmt"
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// errNotReplayed is why a recorded packet cannot be put before rules again.
var errNotReplayed = errors.New("it cannot be replayed")

// Recorded makes of a recorded drop the packet as it came to the hook that
// dropped it. What no record holds is assumed: see [Assumption].
func Recorded(d *drop.Drop, index func(name string) uint32) (*replay.Packet, []Assumption, error) {
	q, err := describeDrop(d)
	if err != nil {
		return nil, nil, err
	}
	known := func(i *drop.Interface) replay.Interface {
		if i == nil {
			return replay.Interface{Known: true}
		}
		return replay.Interface{Known: true, Name: i.Name, Index: index(i.Name)}
	}
	q.In, q.Out = known(d.In), known(d.Out)
	p, err := Build(*q)
	if err != nil {
		return nil, nil, err
	}
	if d.Packet.Protocol == "tcp" && len(d.Packet.TCPFlags) == 0 {
		return nil, nil, fmt.Errorf("%w: the record has no TCP flags", errNotReplayed)
	}
	p.Conntrack = entryOf(d.Conntrack)
	p.PacketType = -1
	return p, recordLacks(d), nil
}

func describeDrop(d *drop.Drop) (*Description, error) {
	k := &d.Packet
	if k.Family != "ip" && k.Family != "ip6" {
		return nil, fmt.Errorf("%w: it is no IP packet", errNotReplayed)
	}
	protocol, ok := packet.ParseProtocol(k.Protocol)
	if !ok {
		return nil, fmt.Errorf("%w: its protocol is not known", errNotReplayed)
	}
	q := &Description{
		Source: k.Source, Destination: k.Destination, Protocol: uint8(protocol), TTL: k.TTL, Mark: k.Mark,
		UID: -1, GID: -1,
	}
	if k.Segments < 2 {
		q.Length = k.IPLength
	}
	if f := k.Fragment; f != nil {
		q.FragmentOffset, q.MoreFragments = f.Offset, f.More
	}
	if q.FragmentOffset == 0 && protocol.HasPorts() {
		if k.SourcePort == nil || k.DestinationPort == nil {
			return nil, fmt.Errorf("%w: the record has no ports", errNotReplayed)
		}
		q.SourcePort, q.DestinationPort = *k.SourcePort, *k.DestinationPort
	}
	if k.ICMPType != nil && k.ICMPCode != nil {
		q.ICMPType, q.ICMPCode = *k.ICMPType, *k.ICMPCode
	}
	for i, name := range []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"} {
		if slices.Contains(k.TCPFlags, name) {
			q.TCPFlags |= 1 << i
		}
	}
	return q, nil
}

// entryOf is the connection as the record has it.
func entryOf(c *drop.Conntrack) replay.Conntrack {
	var out replay.Conntrack
	if c == nil {
		return out
	}
	out.State = ruleset.StateBit(c.State)
	if c.Original == nil || c.Reply == nil {
		return out
	}
	out.Entry, out.Mark, out.Zone = true, c.Mark, c.Zone
	for i, name := range netfilter.StatusNames(1<<6 - 1) {
		if slices.Contains(c.Status, name) {
			out.Status |= 1 << i
		}
	}
	if c.Dir == "reply" {
		out.Direction = 1
	}
	tuple := func(t *drop.Tuple) replay.Tuple {
		return replay.Tuple{
			Source: t.Source.AsSlice(), Destination: t.Destination.AsSlice(),
			SourcePort: t.SourcePort, DestinationPort: t.DestinationPort,
		}
	}
	out.Original, out.Reply = tuple(c.Original), tuple(c.Reply)
	return out
}

// recordLacks are fields that records do not hold.
func recordLacks(d *drop.Drop) []Assumption {
	list := []Assumption{
		{[]ruleset.Field{ruleset.IPDSCP}, "DSCP"},
	}
	if d.Conntrack == nil || d.Conntrack.Original == nil {
		list = append(list, Assumption{[]ruleset.Field{ruleset.CTStatus}, "the connection's status"})
	}
	if d.Packet.Segments > 1 {
		list = append(list, Assumption{[]ruleset.Field{ruleset.Length, ruleset.IPLength}, "the length of each packet"})
	}
	if d.Packet.IPID == nil {
		list = append(list, Assumption{[]ruleset.Field{ruleset.IPID}, "the IP id"})
	}
	return list
}

// Outcome is what a change means for a recorded drop.
type Outcome string

const (
	Passes  Outcome = "pass"    // it would pass
	Drops   Outcome = "drop"    // it would still be dropped
	Rejects Outcome = "reject"  // it would still be rejected
	Unknown Outcome = "unknown" // it cannot be told: see Message
	// NotRules: not the firewall's rules dropped it, so that no change of them
	// lets it pass.
	NotRules Outcome = "not-by-rules"
)

// Verdict is what would become of one recorded drop.
type Verdict struct {
	Outcome Outcome
	Place   replay.Place // that drops it
	Message string
}

// Replay puts a recorded drop before rules at the hook that dropped it, and where
// they let it pass at the hooks behind. now are the rules as they are, to see
// whether they still do what the record says.
func Replay(d *drop.Drop, now, then *replay.Firewall, env replay.Environment, index, thenIndex func(string) uint32) Verdict {
	if d.Hook == "" || d.Cause == "kernel" || d.Cause == "hook" {
		return Verdict{Outcome: NotRules, Message: "the kernel dropped it for a reason of its own"}
	}
	p, _, err := Recorded(d, index)
	if err != nil {
		return Verdict{Outcome: Unknown, Message: err.Error()}
	}
	h := replay.Hook{Family: d.Packet.Family, Name: d.Hook}
	if d.Hook == "ingress" || d.Hook == "egress" {
		h.Family, h.Device = "netdev", p.In.Name+p.Out.Name
	}
	before := now.At(h, p, env, replay.Options{})
	if before.Verdict == replay.Accepted {
		return Verdict{Outcome: Unknown, Message: "these rules do not drop it even without the change: they are not those that did"}
	}
	q, lacks, err := Recorded(d, thenIndex)
	if err != nil {
		return Verdict{Outcome: Unknown, Message: err.Error()}
	}
	return onward(h, q, then, env, lacks)
}

// onward asks a hook and those behind it.
func onward(h replay.Hook, p *replay.Packet, fw *replay.Firewall, env replay.Environment, lacks []Assumption) Verdict {
	now, first := *p, h.Name
	for _, name := range behind(h.Name) {
		h.Name = name
		res := fw.At(h, &now, env, replay.Options{Steps: true})
		j := &replay.Journey{Stages: []replay.Stage{{Hook: h, Result: res}}}
		if looked := Looked(j, lacks); len(looked) > 0 && res.Verdict != replay.CannotKnow {
			return Verdict{Outcome: Unknown, Message: "a rule looks at what the record does not hold: " + looked[0]}
		}
		switch res.Verdict {
		case replay.Accepted:
			now = res.After
		case replay.Dropped:
			return Verdict{Outcome: Drops, Place: res.Last, Message: oneOf(res)}
		case replay.Rejected:
			return Verdict{Outcome: Rejects, Place: res.Last}
		case replay.CannotKnow:
			return Verdict{Outcome: Unknown, Message: doubtOf(res)}
		default:
			return Verdict{Outcome: Unknown, Message: "it is handed to a program"}
		}
	}
	if first == "prerouting" || first == "ingress" {
		return Verdict{Outcome: Passes, Message: "it passes " + first + "; the hooks behind it are not asked"}
	}
	return Verdict{Outcome: Passes}
}

// behind lists a hook and those that its packets surely meet next. Where
// prerouting leads is decided by routing.
func behind(hook string) []string {
	switch hook {
	case "forward", "output":
		return []string{hook, "postrouting"}
	}
	return []string{hook}
}

// oneOf is told where a packet surely dies, and not by whom.
func oneOf(r *replay.Result) string {
	if r.Last.Chain != nil {
		return ""
	}
	return fmt.Sprintf("still by one of %d rules or policies", len(r.Candidates))
}

func doubtOf(r *replay.Result) string {
	for _, d := range r.Doubts {
		if d.Why != "" {
			return d.Why
		}
	}
	return "it cannot be told"
}
