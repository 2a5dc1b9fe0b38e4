package diagnose

import (
	"fmt"
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// bothWays completes a fix for the packet so that its connection works: the answer
// passes other hooks, or the same chain the other way.
func (d *diagnosis) bothWays(whys []drop.Why) []drop.Why {
	if !d.answered() {
		return whys
	}
	i := slices.IndexFunc(whys, func(w drop.Why) bool { return w.Fix != "" })
	if i < 0 {
		return whys
	}
	commands, by, ok := d.openAnswer()
	if by == nil {
		return whys
	}
	w := &whys[i]
	if !ok {
		w.Message += fmt.Sprintf("; what follows in its connection is dropped by %s, too", d.placeName(*by))
		return whys
	}
	w.Message += fmt.Sprintf("; what follows in its connection needs a rule, too: %s drops it", d.placeName(*by))
	for _, c := range commands {
		w.Fix += " && " + c
	}
	return whys
}

// answered reports whether the packet opens something that is answered by packets
// which conntrack calls established.
func (d *diagnosis) answered() bool {
	switch {
	case !d.f.ip() || d.inConnection() || d.state == ruleset.CTUntracked || d.state == ruleset.CTInvalid,
		d.f.HasFragment && !d.f.Fragment.First(),
		!d.f.Destination.IsGlobalUnicast() || d.f.Source.IsUnspecified() || isBroadcast(d.f.Destination),
		d.c.Packet.PacketType == packetBroadcast:
		return false
	case d.f.HasTCP:
		return d.f.TCP.Flags&(packet.SYN|packet.ACK) == packet.SYN
	case d.f.HasICMP:
		return d.f.ICMP.Type == echoRequest(d.f.family())
	}
	return d.f.HasPorts
}

// openAnswer finds out who drops the answer, and the commands that let it through: a
// rule for established connections at the head of each base chain that does. by is
// nil where nobody is known to drop it.
func (d *diagnosis) openAnswer() (commands []string, by *replay.Place, ok bool) {
	rulesets, opened := d.c.Rulesets, make(map[*ruleset.Chain]bool)
	hooks := answerHooks(d.c.Hook.Name)
	if d.then != nil {
		rulesets, hooks = d.then, append([]string{later}, hooks...)
	}
	for _, name := range hooks {
		h, p := replay.Hook{Family: d.f.family(), Name: name}, replay.Packet{}
		if name == later {
			h, p = d.c.Hook, d.second()
		} else {
			p = d.answer(name)
		}
		for range maxFixes {
			r := replay.At(rulesets, h, &p, d.c.Environment, replay.Options{})
			if !dropped(r.Verdict) || r.Last.Base == nil {
				break
			}
			if by == nil {
				by = &replay.Place{Chain: r.Last.Chain, Rule: r.Last.Rule, Base: r.Last.Base}
			}
			base := chainLike(d.c.Rulesets, r.Last.Base)
			if base == nil || opened[base] || !byHandAllowed(ownerOf(r.Last.Chain, r.Last.Rule)) {
				return nil, by, false
			}
			opened[base] = true
			s := spec{family: d.f.family(), established: true}
			at := base
			if user := chainNamed(base.Table, "DOCKER-USER"); user != nil && base.Hook == "forward" && base.Table.Engine != ruleset.NFTables {
				at = user // where Docker asks its users to put theirs
			}
			command := d.c.Namespace.in(d.acceptCommand(at, 0, &s))
			if command == "" {
				return nil, by, false
			}
			commands = append(commands, command)
			rulesets = insert(rulesets, nil, r.Last.Base, 0, s.rule(r.Last.Base)).rulesets
		}
	}
	if by != nil {
		// A place of a copy is called as the one that it was copied from.
		if c := chainLike(d.c.Rulesets, by.Chain); c != nil {
			by.Chain = c
		}
	}
	return commands, by, true
}

// later stands for the hook of the drop, which the packets behind the first pass, too.
const later = "later"

// second is the packet that follows the answer.
func (d *diagnosis) second() replay.Packet {
	p := d.c.Packet
	p.Bytes = slices.Clone(p.Bytes)
	if header := transportAt(&p); d.f.HasTCP && len(p.Bytes) > header+13 {
		p.Bytes[header+13] = byte(packet.ACK)
	}
	p.Conntrack.State = ruleset.CTEstablished
	p.Conntrack.Status |= 1<<1 | 1<<3 // IPS_SEEN_REPLY, IPS_CONFIRMED
	return p
}

// chainLike is the chain of the rulesets of the same table and name: those of an edit
// are copies.
func chainLike(in []*ruleset.Ruleset, c *ruleset.Chain) *ruleset.Chain {
	for _, rs := range in {
		for _, t := range rs.Tables {
			if t.Engine == c.Table.Engine && t.Family == c.Table.Family && t.Name == c.Table.Name {
				if found := chainNamed(t, c.Name); found != nil {
					return found
				}
			}
		}
	}
	return nil
}

// byHandAllowed reports whether a rule that is put into a base chain of an owner's
// stays there.
func byHandAllowed(o Owner) bool {
	switch o {
	case "", Docker, Libvirt, Podman, Tailscale, Flannel:
		return true
	}
	return false
}

// answerHooks are those that the answer passes, of a packet that was dropped at one.
func answerHooks(hook string) []string {
	switch hook {
	case "input":
		return []string{"output", "postrouting"}
	case "output", "postrouting":
		return []string{"prerouting", "input"}
	case "forward":
		return []string{"prerouting", "forward", "postrouting"}
	}
	return nil
}

// answer is the packet that comes back: its addresses and ports are swapped. NAT
// treats the answer as it did the packet, so that filters see both alike.
func (d *diagnosis) answer(hook string) replay.Packet {
	p := d.c.Packet
	p.Bytes = slices.Clone(p.Bytes)
	p.In, p.Out = p.Out, p.In
	if hook == "prerouting" || hook == "input" {
		p.Out = replay.Interface{Known: true}
	}
	if hook == "output" || hook == "postrouting" && d.c.Hook.Name != "forward" {
		p.In = replay.Interface{Known: true}
	}
	p.Link, p.MarkKnown, p.PacketType = nil, false, -1
	p.UID, p.GID = -1, -1
	size, at := 4, 12
	if d.f.family() == "ip6" {
		size, at = 16, 8
	}
	swap(p.Bytes, at, at+size, size)
	header := transportAt(&p)
	switch {
	case d.f.HasTCP && len(p.Bytes) > header+13:
		swap(p.Bytes, header, header+2, 2)
		p.Bytes[header+13] = byte(packet.SYN | packet.ACK)
	case d.f.HasPorts && len(p.Bytes) >= header+4:
		swap(p.Bytes, header, header+2, 2)
	case d.f.HasICMP && len(p.Bytes) > header:
		p.Bytes[header] = echoReply(d.f.family())
	}
	ct := p.Conntrack
	const seenReply, confirmed = 1 << 1, 1 << 3 // IPS_SEEN_REPLY, IPS_CONFIRMED
	p.Conntrack = replay.Conntrack{State: ruleset.CTEstablished, Entry: ct.Entry, Direction: 1, Status: ct.Status | seenReply | confirmed,
		Mark: ct.Mark, Zone: ct.Zone, Original: ct.Original, Reply: ct.Reply, Protocol: byte(d.f.Protocol)}
	return p
}

func swap(b []byte, i, j, size int) {
	if j+size > len(b) {
		return
	}
	for k := range size {
		b[i+k], b[j+k] = b[j+k], b[i+k]
	}
}

// transportAt is where the transport header begins; behind all bytes where there
// are extension headers, so that nothing is swapped.
func transportAt(p *replay.Packet) int {
	var f packet.Packet
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &f)
	if f.Destination.Is4() {
		return int(p.Bytes[0]&0xf) * 4
	}
	if len(p.Bytes) > 6 && p.Bytes[6] == byte(f.Protocol) {
		return 40
	}
	return len(p.Bytes)
}

func echoReply(family string) uint8 {
	if family == "ip6" {
		return 129
	}
	return 0
}
