package diagnose

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// Each calls visit with the entries of conntrack's table. An error says that not all
// of them were seen.
type Each func(visit func(*table.Entry) error) error

// helper is one of the kernel's conntrack helpers (net/netfilter/nf_conntrack_*.c):
// it reads a connection to its port, and what that one announces becomes related.
type helper struct {
	name     string
	port     uint16
	protocol packet.Protocol
	// opens reports whether a packet looks like one that a connection of control
	// announces.
	opens func(f *facts, control *table.Entry) bool
	// broadcast: it reads only what this host sends to a broadcast address.
	broadcast bool
}

// helpers leaves out irc, whose connections come from hosts that the control
// connection does not name.
var helpers = []helper{
	{name: "ftp", port: 21, protocol: packet.ProtoTCP, opens: dataOfTCP},
	{name: "tftp", port: 69, protocol: packet.ProtoUDP, opens: answersFromNewPort},
	{name: "sip", port: 5060, protocol: packet.ProtoUDP, opens: mediaOfUDP},
	{name: "sip", port: 5060, protocol: packet.ProtoTCP, opens: mediaOfUDP},
	{name: "Q.931", port: 1720, protocol: packet.ProtoTCP, opens: dataOfTCP},
	{name: "RAS", port: 1719, protocol: packet.ProtoUDP, opens: dataOfTCP},
	{name: "pptp", port: 1723, protocol: packet.ProtoTCP, opens: greBetween},
	{name: "sane", port: 6566, protocol: packet.ProtoTCP, opens: dataOfTCP},
	{name: "amanda", port: 10080, protocol: packet.ProtoUDP, opens: dataOfTCP},
	{name: "netbios-ns", port: 137, protocol: packet.ProtoUDP, opens: answersBroadcast, broadcast: true},
	{name: "snmp", port: 161, protocol: packet.ProtoUDP, opens: answersBroadcast, broadcast: true},
}

func greBetween(f *facts, c *table.Entry) bool {
	return f.Protocol == packet.ProtoGRE && betweenSame(f, c)
}

// betweenSame reports whether the packet goes between the connection's two ends.
func betweenSame(f *facts, c *table.Entry) bool {
	o, r := &c.Original, &c.Reply
	return f.Source == o.Source && (f.Destination == o.Destination || f.Destination == r.Source) ||
		f.Destination == o.Source && (f.Source == o.Destination || f.Source == r.Source)
}

// dataOfTCP: ports that servers take for data are far above those of services; an
// active FTP server opens from port 20.
func dataOfTCP(f *facts, c *table.Entry) bool {
	const chosen, data = 30000, 20
	return f.HasTCP && (f.DestinationPort >= chosen || f.SourcePort == data) && betweenSame(f, c)
}

// answersFromNewPort: a TFTP server answers the client's port from another one of its own.
func answersFromNewPort(f *facts, c *table.Entry) bool {
	return f.Protocol == packet.ProtoUDP && f.Source == c.Reply.Source && f.Destination == c.Original.Source &&
		f.DestinationPort == c.Original.SourcePort && f.SourcePort != c.Original.DestinationPort
}

func mediaOfUDP(f *facts, c *table.Entry) bool {
	const chosen = 10000 // RTP's ports
	return f.Protocol == packet.ProtoUDP && f.DestinationPort >= chosen && f.SourcePort >= chosen && betweenSame(f, c)
}

// answersBroadcast: one host answers what was asked of all (nf_conntrack_broadcast.c).
func answersBroadcast(f *facts, c *table.Entry) bool {
	return f.Protocol == packet.ProtoUDP && f.Destination == c.Original.Source && f.DestinationPort == c.Original.SourcePort &&
		f.SourcePort == c.Original.DestinationPort && f.Source != c.Original.Destination
}

// toAll reports whether this host sent a packet to the broadcast address of its
// network. Only then does the kernel expect answers, and only from that network; to
// 255.255.255.255 it expects none (ifa_broadcast in nf_conntrack_broadcast_help).
func (d *diagnosis) toAll(e *table.Entry) bool {
	to, n := e.Original.Destination, d.network(e.Original.Destination)
	if d.c.Machine == nil || !n.IsValid() || !to.Is4() || n.Bits() >= 31 || !n.Contains(d.f.Source) || !bytes.Equal(to.AsSlice(), lastOf(n)) {
		return false
	}
	own, ok := d.c.Machine.Local(e.Original.Source)
	return ok && own
}

// mayBeRelated reports whether the packet opens something that a helper could have
// announced.
func (d *diagnosis) mayBeRelated() bool {
	if d.state != ruleset.CTNew && d.state != 0 || d.c.Each == nil || !d.f.ip() || d.f.HasFragment {
		return false
	}
	return d.f.HasTCP && d.f.TCP.Flags&(packet.SYN|packet.ACK) == packet.SYN || d.f.Protocol == packet.ProtoUDP ||
		d.f.Protocol == packet.ProtoGRE
}

// withoutHelper reports a connection that belongs to another one: conntrack takes it
// for a new one where no helper reads the other. To open its port would be good for
// this one alone.
func (d *diagnosis) withoutHelper() []drop.Why {
	if !d.byDefault() || !d.mayBeRelated() {
		return nil
	}
	h, control := d.announcedBy()
	if h == nil {
		return nil
	}
	w := drop.Why{Code: drop.WhyHelperMissing, Message: fmt.Sprintf(
		"no rule of %s accepts %s from %s; it looks like a part of the connection from %s to %s, and conntrack calls such related only with its helper %s, which does not read that connection",
		d.c.Place.Base.Name, d.f.service(), d.f.Source, control.Original.Source, endOf(control), h.name)}
	var accepts bool
	if w.Fix, accepts = d.assign(h, control); w.Fix != "" {
		w.Message += "; the fix is for connections to port " + strconv.Itoa(int(h.port)) + " that begin from then on"
		if accepts {
			w.Message += ", and its last rule accepts all that is RELATED or ESTABLISHED"
		}
		if h.name == "ftp" {
			w.Message += "; it does not help where the control connection is encrypted (AUTH TLS)"
		}
	}
	return []drop.Why{w}
}

func endOf(e *table.Entry) string {
	return packet.Protocol(e.Original.Protocol).String() + " " + netip.AddrPortFrom(e.Original.Destination, e.Original.DestinationPort).String()
}

// announcedBy is the open connection that the packet may belong to, and the helper
// that it lacks.
func (d *diagnosis) announcedBy() (found *helper, control *table.Entry) {
	const established = 3 // TCP_CONNTRACK_ESTABLISHED
	err := d.c.Each(func(e *table.Entry) error {
		for i := range helpers {
			h := &helpers[i]
			if e.Original.Protocol != uint8(h.protocol) || e.Original.DestinationPort != h.port || !h.opens(&d.f, e) {
				continue
			}
			if h.protocol == packet.ProtoTCP && e.TCPState != established {
				continue
			}
			if h.broadcast && !d.toAll(e) {
				continue
			}
			if e.Helper == "" && e.Status&netfilter.StatusHelper == 0 {
				copied := *e
				found, control = h, &copied
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil
	}
	return found, control
}

// assign are the commands that give a helper to connections to its port, and let
// pass what these announce where no rule does yet: accepts is for the latter.
func (d *diagnosis) assign(h *helper, control *table.Entry) (fix string, accepts bool) {
	place := d.c.Place
	if ownerOf(place.Chain, place.Rule) != "" || d.c.Machine == nil {
		return "", false
	}
	own, ok := d.c.Machine.Local(control.Original.Source)
	if !ok {
		return "", false
	}
	hook := "prerouting"
	if own {
		hook = "output"
	}
	var commands []string
	if place.Base.Table.Engine == ruleset.NFTables {
		commands = d.nftHelper(h, hook)
	} else {
		commands = d.iptablesHelper(h, hook)
	}
	if commands = d.c.Namespace.all(commands); commands == nil {
		return "", false
	}
	p := d.c.Packet
	p.Conntrack.State = ruleset.CTRelated
	if !d.accepts(d.c.Rulesets, &p) {
		first := d.firstFor(&p)
		if first == "" {
			return "", false
		}
		commands, accepts = append(commands, first), true
	}
	return strings.Join(commands, " && "), accepts
}

// firstFor is the command for a rule that accepts open and related connections, where
// it lets this packet through.
func (d *diagnosis) firstFor(p *replay.Packet) string {
	base := d.c.Place.Base
	s := spec{family: d.f.family(), established: true}
	if !d.accepts(d.inserted(d.c.Rulesets, base, 0, s.rule(base)).rulesets, p) {
		return ""
	}
	return d.c.Namespace.in(d.acceptCommand(base, 0, &s))
}

func (d *diagnosis) iptablesHelper(h *helper, hook string) []string {
	table := *d.c.Place.Base.Table
	table.Name = "raw"
	return []string{d.shell(d.iptables(&table), "-t", "raw", "-A", strings.ToUpper(hook), "-p", h.protocol.String(),
		"--dport", strconv.Itoa(int(h.port)), "-j", "CT", "--helper", h.name)}
}

// nftHelper puts the helper's object and a chain for it into the table of the drop. The
// chain has to stand behind conntrack (-200), which makes the entry that the helper is
// for.
func (d *diagnosis) nftHelper(h *helper, hook string) []string {
	t := d.c.Place.Base.Table
	object, chain := "helper-"+strings.ReplaceAll(strings.ToLower(h.name), ".", ""), "helpers-"+hook
	if !ruleset.PlainName(t.Name) || chainNamed(t, chain) != nil {
		return nil
	}
	return []string{
		d.shell("nft", "add", "ct", "helper", t.Family, t.Name, object, fmt.Sprintf("{ type %q protocol %s; }", h.name, h.protocol)),
		d.shell("nft", "add", "chain", t.Family, t.Name, chain, fmt.Sprintf("{ type filter hook %s priority -150; }", hook)),
		d.shell("nft", "add", "rule", t.Family, t.Name, chain, h.protocol.String(), "dport", strconv.Itoa(int(h.port)), "ct", "helper", "set", `"`+object+`"`),
	}
}
