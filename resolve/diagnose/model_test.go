package diagnose

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// model builds a table chain by chain.
type model struct {
	*ruleset.Table
	handle uint64
}

func newModel(engine ruleset.Engine, family, name string) *model {
	return &model{Table: &ruleset.Table{Engine: engine, Family: family, Name: name}}
}

func (m *model) rulesets(more ...*model) []*ruleset.Ruleset {
	rs := &ruleset.Ruleset{Tables: []*ruleset.Table{m.Table}}
	for _, o := range more {
		rs.Tables = append(rs.Tables, o.Table)
	}
	return []*ruleset.Ruleset{rs}
}

func (m *model) chain(name string) *ruleset.Chain {
	if c := chainNamed(m.Table, name); c != nil {
		return c
	}
	c := &ruleset.Chain{Table: m.Table, Name: name}
	m.Chains = append(m.Chains, c)
	return c
}

func (m *model) base(name, hook, policy string) *ruleset.Chain {
	c := m.chain(name)
	c.Hook, c.Type, c.Policy = hook, "filter", policy
	return c
}

// rule appends one; text is that of the rule without chain.
func (m *model) rule(chain, text string, statements ...ruleset.Statement) *ruleset.Rule {
	c := m.chain(chain)
	m.handle++
	r := &ruleset.Rule{Chain: c, Number: len(c.Rules) + 1, Read: true, Statements: statements, Text: text}
	if m.Engine != ruleset.IPTablesLegacy {
		r.Handle = m.handle
	}
	if m.Engine != ruleset.NFTables {
		r.Text = "-A " + chain + " " + text
	}
	c.Rules = append(c.Rules, r)
	return r
}

func equal(value []byte, fields ...ruleset.Field) *ruleset.Match {
	return &ruleset.Match{Fields: fields, Ranges: []ruleset.Range{{From: value, To: value}}}
}

func negated(m *ruleset.Match) *ruleset.Match {
	m.Negate = true
	return m
}

func address(prefix string, v4, v6 ruleset.Field) *ruleset.Match {
	p := netip.MustParsePrefix(prefix)
	f := v4
	if p.Addr().Is6() {
		f = v6
	}
	return &ruleset.Match{Fields: []ruleset.Field{f}, Ranges: []ruleset.Range{{From: p.Masked().Addr().AsSlice(), To: lastOf(p)}}}
}

func src(p string) *ruleset.Match { return address(p, ruleset.IPSource, ruleset.IP6Source) }
func dst(p string) *ruleset.Match { return address(p, ruleset.IPDestination, ruleset.IP6Destination) }
func proto(p packet.Protocol) *ruleset.Match {
	return equal([]byte{byte(p)}, ruleset.L4Protocol)
}
func dport(n uint16) *ruleset.Match {
	return equal(binary.BigEndian.AppendUint16(nil, n), ruleset.DestinationPort)
}
func in(name string) *ruleset.Match                  { return equal(interfaceName(name), ruleset.InName) }
func state(bits uint32) *ruleset.Match               { return stateMatch(bits) }
func verdict(k ruleset.VerdictKind) *ruleset.Verdict { return &ruleset.Verdict{Kind: k} }
func jump(c *ruleset.Chain) *ruleset.Verdict {
	return &ruleset.Verdict{Kind: ruleset.Jump, Target: c}
}

var (
	accept = verdict(ruleset.Accept)
	drops  = verdict(ruleset.Drop)
	reject = verdict(ruleset.Reject)
)

func tcp(port uint16) []ruleset.Statement {
	return []ruleset.Statement{proto(packet.ProtoTCP), dport(port)}
}

func with(list []ruleset.Statement, more ...ruleset.Statement) []ruleset.Statement {
	return append(more[:len(more)-1:len(more)-1], append(list, more[len(more)-1])...)
}

// traffic makes a packet of at least 40 bytes.
type traffic struct {
	src, dst     string
	proto        packet.Protocol
	sport, dport uint16
	flags        packet.TCPFlags
	icmp         uint8
	in, out      string
}

func (t traffic) packet() replay.Packet {
	from, to := netip.MustParseAddr(t.src), netip.MustParseAddr(t.dst)
	p := replay.Packet{
		EtherType: 0x0800, MarkKnown: true, UID: -1, GID: -1,
		In:        replay.Interface{Known: true, Name: t.in, Index: uint32(len(t.in))},
		Out:       replay.Interface{Known: true, Name: t.out, Index: uint32(len(t.out))},
		Conntrack: replay.Conntrack{State: ruleset.CTNew},
	}
	if t.proto == 0 {
		t.proto = packet.ProtoTCP
	}
	if t.flags == 0 && t.proto == packet.ProtoTCP {
		t.flags = packet.SYN
	}
	l4 := make([]byte, 20)
	binary.BigEndian.PutUint16(l4, t.sport)
	binary.BigEndian.PutUint16(l4[2:], t.dport)
	l4[12], l4[13] = 5<<4, byte(t.flags)
	switch t.proto {
	case packet.ProtoICMP, packet.ProtoICMPv6:
		l4 = append([]byte{t.icmp}, make([]byte, 19)...)
	case packet.ProtoUDP:
		binary.BigEndian.PutUint16(l4[4:], 20)
	}
	if from.Is4() {
		p.Bytes = make([]byte, 20)
		p.Bytes[0], p.Bytes[8], p.Bytes[9] = 0x45, 64, byte(t.proto)
		binary.BigEndian.PutUint16(p.Bytes[2:], 40)
		copy(p.Bytes[12:], from.AsSlice())
		copy(p.Bytes[16:], to.AsSlice())
	} else {
		p.EtherType = 0x86dd
		p.Bytes = make([]byte, 40)
		p.Bytes[0], p.Bytes[6], p.Bytes[7] = 0x60, byte(t.proto), 64
		binary.BigEndian.PutUint16(p.Bytes[4:], 20)
		copy(p.Bytes[8:], from.AsSlice())
		copy(p.Bytes[24:], to.AsSlice())
	}
	p.Bytes = append(p.Bytes, l4...)
	p.Length = len(p.Bytes)
	return p
}

// machine is what a test says of it.
type machine struct {
	sysctls    map[string]string
	listeners  map[string][]Listener // "tcp 80"
	local      []string
	routes     map[string]string // address to "eth1", "eth1 via 10.0.0.1 mtu 1400" or "type blackhole"; others have none
	bridges    string
	interfaces map[string]Interface
	queues     int
	programs   string // "" for all
	networks   []string
	uplink     string // has the default route
}

func (m *machine) Network(a netip.Addr) (netip.Prefix, bool) {
	for _, n := range m.networks {
		if p := netip.MustParsePrefix(n); p.Contains(a) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func (m *machine) Default(device string) (bool, bool) { return device == m.uplink, true }

func (m *machine) Sysctl(path string) (string, bool) { v, ok := m.sysctls[path]; return v, ok }
func (m *machine) Listeners(protocol string, port uint16) ([]Listener, bool) {
	f := facts{Packet: packet.Packet{}}
	f.HasPorts, f.DestinationPort = true, port
	f.Protocol, _ = packet.ParseProtocol(protocol)
	return m.listeners[f.service()], true
}
func (m *machine) Local(a netip.Addr) (bool, bool) {
	for _, l := range m.local {
		if l == a.String() {
			return true, true
		}
	}
	return false, true
}
func (m *machine) RouteTo(a netip.Addr) (Route, bool) {
	if kind, refused := strings.CutPrefix(m.routes[a.String()], "type "); refused {
		return Route{Refused: kind}, true
	}
	device, mtu, _ := strings.Cut(m.routes[a.String()], " mtu ")
	device, gateway, _ := strings.Cut(device, " via ")
	r := Route{Device: device}
	r.MTU, _ = strconv.Atoi(mtu)
	r.Gateway, _ = netip.ParseAddr(gateway)
	return r, true
}
func (m *machine) Interface(name string) (Interface, bool) {
	if i, ok := m.interfaces[name]; ok {
		return i, true
	}
	return Interface{Bridge: strings.Contains(m.bridges, name), Up: true, Carrier: true, MTU: 1500}, true
}
func (m *machine) Queues() (int, bool) { return m.queues, true }
func (m *machine) Program(name string) bool {
	return m.programs == "" || strings.Contains(" "+m.programs+" ", " "+name+" ")
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
