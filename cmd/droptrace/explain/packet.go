package explain

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/resolve/explain"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// flagPacket is the packet that is asked about, as far as flags describe it.
type flagPacket struct {
	explain.Description
	in, out, hook string
	noFlags       bool // --tcp-flags none
	given         map[string]bool
	notes         []string
}

// readPacketFlags reads the packet's flags.
func readPacketFlags(c *cli.Context) (*flagPacket, error) {
	q := &flagPacket{
		in: c.String("in"), out: c.String("out"), hook: c.String("hook"),
		given: make(map[string]bool),
	}
	q.UID, q.GID = -1, -1
	for _, name := range c.LocalFlagNames() {
		q.given[name] = true
	}
	for _, read := range []func(*cli.Context) error{q.readAddresses, q.readProtocol, q.readPorts, q.readHeader, q.readState, q.readPlace} {
		if err := read(c); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *flagPacket) readAddresses(c *cli.Context) error {
	for name, to := range map[string]*netip.Addr{"src": &q.Source, "dst": &q.Destination} {
		v := c.String(name)
		if v == "" {
			return console.BadUsage(fmt.Errorf("--%s is missing", name), "say from where to where the packet goes: --src ADDRESS --dst ADDRESS")
		}
		a, err := netip.ParseAddr(v)
		if err != nil {
			return console.BadUsage(fmt.Errorf("--%s %q is no address", name, v), "want one such as 10.0.0.1 or 2001:db8::1")
		}
		*to = a.Unmap().WithZone("")
	}
	if q.Source.Is4() != q.Destination.Is4() {
		return console.BadUsage(fmt.Errorf("--src %s and --dst %s are of two families", q.Source, q.Destination), "give both of IPv4 or of IPv6")
	}
	return nil
}

func (q *flagPacket) readProtocol(c *cli.Context) error {
	name := c.String("proto")
	if name == "" {
		if name = "tcp"; c.IsSet("icmp-type") {
			name = "icmp"
		}
		if !c.IsSet("dport") && !c.IsSet("sport") && !c.IsSet("icmp-type") && !c.IsSet("tcp-flags") {
			return console.BadUsage(errors.New("--proto is missing"), "want tcp, udp, icmp and others, or a number")
		}
	}
	p, ok := packet.ParseProtocol(name)
	if !ok {
		return console.BadUsage(fmt.Errorf("--proto %q is not known", name), "want tcp, udp, icmp and others, or a number")
	}
	if p == packet.ProtoICMP && q.Destination.Is6() {
		p = packet.ProtoICMPv6
	}
	q.Protocol = uint8(p)
	for _, flag := range []string{"sport", "dport"} {
		if c.IsSet(flag) && !p.HasPorts() {
			return console.BadUsage(fmt.Errorf("--%s: %s has no ports", flag, p), "leave it out, or give another --proto")
		}
	}
	if c.IsSet("tcp-flags") && p != packet.ProtoTCP {
		return console.BadUsage(fmt.Errorf("--tcp-flags: %s has none", p), "leave it out, or give --proto tcp")
	}
	if c.IsSet("icmp-type") && p != packet.ProtoICMP && p != packet.ProtoICMPv6 {
		return console.BadUsage(fmt.Errorf("--icmp-type: %s has none", p), "leave it out, or give --proto icmp")
	}
	if p.HasPorts() && !c.IsSet("dport") && !c.Bool("fragment") {
		return console.BadUsage(errors.New("--dport is missing"), "say which port of "+p.String()+" the packet goes to")
	}
	return nil
}

func (q *flagPacket) readPorts(c *cli.Context) error {
	for flag, to := range map[string]*uint16{"sport": &q.SourcePort, "dport": &q.DestinationPort} {
		v := c.String(flag)
		if v == "" {
			continue
		}
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil {
			port, e := net.LookupPort(packet.Protocol(q.Protocol).String(), v)
			if e != nil {
				return console.BadUsage(fmt.Errorf("--%s %q is no port", flag, v), "want a number up to 65535, or a service's name")
			}
			n = uint64(port)
		}
		*to = uint16(n)
	}
	return nil
}

func (q *flagPacket) readHeader(c *cli.Context) error {
	numbers := []struct {
		flag      string
		low, high uint64
		set       func(uint64)
	}{
		{"length", 20, 65535, func(n uint64) { q.Length = int(n) }},
		{"ttl", 1, 255, func(n uint64) { q.TTL = uint8(n) }},
		{"dscp", 0, 63, func(n uint64) { q.DSCP = uint8(n) }},
		{"mark", 0, 1<<32 - 1, func(n uint64) { q.Mark = uint32(n) }},
		{"uid", 0, 1<<32 - 2, func(n uint64) { q.UID = int(n) }},
		{"gid", 0, 1<<32 - 2, func(n uint64) { q.GID = int(n) }},
	}
	for _, f := range numbers {
		if !c.IsSet(f.flag) {
			continue
		}
		n, err := strconv.ParseUint(c.String(f.flag), 0, 64)
		if err != nil || n < f.low || n > f.high {
			return console.BadUsage(fmt.Errorf("--%s %q is out of place", f.flag, c.String(f.flag)), fmt.Sprintf("want a number from %d to %d", f.low, f.high))
		}
		f.set(n)
	}
	if c.Bool("fragment") {
		q.FragmentOffset = 1480
	}
	if v := c.String("mac"); v != "" {
		mac, err := net.ParseMAC(v)
		if err != nil || len(mac) != 6 {
			return console.BadUsage(fmt.Errorf("--mac %q is no MAC address", v), "want one such as 52:54:00:12:34:56")
		}
		q.SourceMAC, q.DestinationMAC = mac, make([]byte, 6)
	}
	if err := q.readTCPFlags(c.String("tcp-flags")); err != nil {
		return err
	}
	return q.readICMP(c)
}

func (q *flagPacket) readTCPFlags(v string) error {
	if v == "none" {
		q.noFlags = true
	}
	if v == "" || v == "none" {
		return nil
	}
	names := []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
	for _, name := range strings.Split(strings.ToLower(v), ",") {
		i := slices.Index(names, name)
		if i < 0 {
			return console.BadUsage(fmt.Errorf("--tcp-flags %q is not known", name), "want "+strings.Join(names, ", ")+" with commas between, or none")
		}
		q.TCPFlags |= 1 << i
	}
	return nil
}

// noType stands for a name that a family has no type for.
const noType = -1

// icmpNames are the types that people ask about by name, for ICMP and ICMPv6.
func icmpNames() map[string][2]int {
	return map[string][2]int{
		"echo-request": {8, 128}, "ping": {8, 128}, "echo-reply": {0, 129}, "pong": {0, 129},
		"destination-unreachable": {3, 1}, "time-exceeded": {11, 3}, "parameter-problem": {12, 4},
		"redirect": {5, 137}, "router-advertisement": {9, 134}, "router-solicitation": {10, 133},
		"packet-too-big": {noType, 2}, "neighbour-solicitation": {noType, 135}, "neighbour-advertisement": {noType, 136},
		"neighbor-solicitation": {noType, 135}, "neighbor-advertisement": {noType, 136},
		"timestamp-request": {13, noType}, "timestamp-reply": {14, noType},
	}
}

func (q *flagPacket) readICMP(c *cli.Context) error {
	six := q.Protocol == uint8(packet.ProtoICMPv6)
	q.ICMPType = 8
	if six {
		q.ICMPType = 128
	}
	v := c.String("icmp-type")
	if v == "" {
		return nil
	}
	name, code, _ := strings.Cut(v, "/")
	if both, ok := icmpNames()[name]; ok {
		n, family, other := both[0], "ICMP", "IPv6"
		if six {
			n, family, other = both[1], "ICMPv6", "IPv4"
		}
		if n == noType {
			hint := "give it " + other + " addresses, or a type of " + family
			if name == "packet-too-big" {
				hint = "in ICMP it is 3/4, or give it IPv6 addresses"
			}
			return console.BadUsage(fmt.Errorf("--icmp-type: %s has no type %s", family, name), hint)
		}
		q.ICMPType = uint8(n)
	} else if n, err := strconv.ParseUint(name, 10, 8); err == nil {
		q.ICMPType = uint8(n)
	} else {
		return console.BadUsage(fmt.Errorf("--icmp-type %q is not known", v), "want a number, or a name such as echo-request")
	}
	if code != "" {
		n, err := strconv.ParseUint(code, 10, 8)
		if err != nil {
			return console.BadUsage(fmt.Errorf("--icmp-type %q: %q is no code", v, code), "want TYPE/CODE, such as 3/4")
		}
		q.ICMPCode = uint8(n)
	}
	return nil
}

func (q *flagPacket) readState(c *cli.Context) error {
	name := strings.ToLower(c.String("state"))
	if name == "" {
		name = "new"
	}
	q.State = ruleset.StateBit(name)
	if q.State == 0 {
		return console.BadUsage(fmt.Errorf("--state %q is not known", c.String("state")), "want new, established, related, invalid or untracked")
	}
	if q.State == ruleset.CTEstablished && q.TCPFlags == 0 && !q.noFlags {
		q.TCPFlags = 0x10 // ACK
	}
	return nil
}

// hooks that a packet can be asked about at.
func hooks() []string {
	return []string{"ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"}
}

func (q *flagPacket) readPlace(*cli.Context) error {
	if q.hook != "" && !slices.Contains(hooks(), q.hook) {
		return console.BadUsage(fmt.Errorf("--hook %q is not known", q.hook), "want "+console.Either(hooks()))
	}
	if q.hook == "ingress" && q.in == "" || q.hook == "egress" && q.out == "" {
		return console.BadUsage(fmt.Errorf("--hook %s is an interface's", q.hook), "say which: --in NAME, of egress --out NAME")
	}
	return nil
}

// fill takes a source port that no rule names.
func (q *flagPacket) fill(s *subject) {
	if !packet.Protocol(q.Protocol).HasPorts() || q.given["sport"] {
		return
	}
	q.SourcePort = explain.UnlikelyPort(s.rules.List)
}

// build makes the packet, and says what it had to assume.
func (q *flagPacket) build(s *subject) (*replay.Packet, []explain.Assumption, error) {
	if err := q.place(s); err != nil {
		return nil, nil, err
	}
	p, err := explain.Build(q.Description)
	if err != nil {
		return nil, nil, console.BadUsage(err)
	}
	if q.noFlags && len(p.Bytes) > 33 {
		at := 20
		if q.Destination.Is6() {
			at = 40
		}
		p.Bytes[at+13] = 0
	}
	return p, explain.Assumptions(&q.Description, func(flag string) bool { return q.given[flag] }), nil
}
