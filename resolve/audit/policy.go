package audit

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const (
	NoEstablished Code = "no-established-accept"
	NoLoopback    Code = "no-loopback-accept"
)

// probe is a packet that nearly every host has to let through.
type probe struct {
	family   string
	hook     string
	in       replay.Interface
	from, to netip.Addr
	flags    uint8
	state    uint32
}

// unnamed is an interface that no rule can speak of: what meets it meets all that
// have no rule of their own.
func unnamed() replay.Interface {
	return replay.Interface{Known: true, Name: "droptrace", Index: 1 << 30}
}

// packet of the probe: TCP between a port of servers and one of clients.
func (p *probe) packet() *replay.Packet {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, 443)
	binary.BigEndian.PutUint16(tcp[2:], 50507)
	tcp[12], tcp[13] = 5<<4, p.flags
	out := &replay.Packet{
		EtherType: 0x0800, MarkKnown: true, UID: -2, GID: -2,
		In: p.in, Out: replay.Interface{Known: true},
		Conntrack: replay.Conntrack{State: p.state},
	}
	if p.from.Is4() {
		ip := make([]byte, 20)
		ip[0], ip[3], ip[8], ip[9] = 0x45, 40, 64, 6
		copy(ip[12:], p.from.AsSlice())
		copy(ip[16:], p.to.AsSlice())
		out.Bytes = append(ip, tcp...)
	} else {
		ip := make([]byte, 40)
		ip[0], ip[5], ip[6], ip[7] = 0x60, 20, 6, 64
		copy(ip[8:], p.from.AsSlice())
		copy(ip[24:], p.to.AsSlice())
		out.EtherType, out.Bytes = 0x86dd, append(ip, tcp...)
	}
	out.Length = len(out.Bytes)
	return out
}

// policies puts packets before the rules that a host cannot do without. Only
// what is dropped for certain is told.
func policies(rulesets []*ruleset.Ruleset, m *Machine) []Finding {
	const ack, syn = 16, 2
	fw := replay.New(rulesets...)
	var out []Finding
	for _, f := range []struct{ family, remote, local, loopback string }{
		{"ip", "203.0.113.77", "192.0.2.77", "127.0.0.1"},
		{"ip6", "2001:db8::77", "2001:db8:1::77", "::1"},
	} {
		reply := probe{f.family, "input", unnamed(), netip.MustParseAddr(f.remote), netip.MustParseAddr(f.local), ack, ruleset.CTEstablished}
		if at := drop(fw, &reply); at != nil && !asksEstablished(rulesets, f.family, "input") {
			found := Finding{Code: NoEstablished, Severity: High, Chain: at.Base, Rules: ruleOf(at),
				Message: fmt.Sprintf("%s drops the answers to this host's own connections (%s): no rule at input asks for established ones",
					placeName(at), f.family)}
			found.mend(insertFirst(at.Base, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "ct state established,related accept"))
			out = append(out, found)
		}
		if m != nil && !up(m, "lo") {
			continue
		}
		lo := replay.Interface{Known: true, Name: "lo", Index: 1}
		own := probe{f.family, "input", lo, netip.MustParseAddr(f.loopback), netip.MustParseAddr(f.loopback), syn, ruleset.CTNew}
		if at := drop(fw, &own); at != nil {
			found := Finding{Code: NoLoopback, Severity: High, Chain: at.Base, Rules: ruleOf(at),
				Message: fmt.Sprintf("%s drops what this host's programs say to each other over lo (%s)", placeName(at), f.family)}
			found.mend(insertFirst(at.Base, "-i lo -j ACCEPT", `iifname lo accept`))
			out = append(out, found)
		}
	}
	return out
}

func up(m *Machine, name string) bool {
	for _, i := range m.Interfaces {
		if i.Name == name {
			return i.Up
		}
	}
	return false
}

// drop is where the probe surely dies, nil where it does not.
func drop(fw *replay.Firewall, p *probe) *replay.Place {
	res := fw.At(replay.Hook{Family: p.family, Name: p.hook}, p.packet(), nil, replay.Options{})
	if res.Verdict != replay.Dropped && res.Verdict != replay.Rejected || res.Last.Base == nil {
		return nil
	}
	return &res.Last
}

// asksEstablished reports whether some rule at the hook looks for established
// connections to do anything but drop them, or whether that cannot be told.
func asksEstablished(rulesets []*ruleset.Ruleset, family, hook string) bool {
	for _, base := range chainsAt(rulesets, family, hook) {
		for _, c := range reachable(base) {
			for _, r := range c.Rules {
				if !r.Read || mayAsk(r) {
					return true
				}
			}
		}
	}
	return false
}

func mayAsk(r *ruleset.Rule) bool {
	for _, s := range r.Statements {
		fields, _ := statementFields(s)
		if v, ok := s.(*ruleset.VerdictMap); ok {
			fields = v.Fields
		}
		if o, ok := s.(*ruleset.Opaque); ok && !o.Understood {
			return true
		}
		m, _ := s.(*ruleset.Match)
		for _, f := range fields {
			if f != ruleset.CTState {
				continue
			}
			if m == nil {
				return true
			}
			if v, ok := valuesOf(m); !ok || v.kind != byteValues || v.bits[0]&(1<<ruleset.CTEstablished) != 0 {
				return true
			}
		}
	}
	return false
}

func ruleOf(p *replay.Place) []*ruleset.Rule {
	if p.Rule == nil {
		return nil
	}
	return []*ruleset.Rule{p.Rule}
}

func placeName(p *replay.Place) string {
	if p.Rule == nil {
		return "the " + p.Chain.FullName() + " policy"
	}
	return p.Chain.FullName() + " " + p.Rule.Place()
}

// insertFirst puts a rule at the top of a base chain.
func insertFirst(c *ruleset.Chain, args, statement string) (command string, named bool) {
	switch {
	case diagnose.OwnerOf(c, nil) != "":
		return "", true // its own program has to be asked
	case c.Table.Engine == ruleset.NFTables:
		return nftLine("insert", c, 0, statement)
	}
	return iptablesLine(c, "-I", append([]string{"1"}, strings.Fields(args)...)...)
}
