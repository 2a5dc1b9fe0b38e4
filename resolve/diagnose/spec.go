package diagnose

import (
	"net/netip"
	"regexp"
	"strconv"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// spec is what a new accept rule lets through: no more than what is set. It is
// written out as a command and, to prove the command, as a rule of the model.
type spec struct {
	family      string // ip or ip6
	src, dst    netip.Addr
	from        netip.Prefix    // in place of src, where valid
	proto       packet.Protocol // 0 for any
	dport       uint16          // 0 for any
	icmpType    uint8
	hasICMPType bool
	in, out     string
	// established: only packets of connections that were let through before.
	established bool
	// related: with established, only what opens a connection that an open one
	// has announced, or is an error about one.
	related bool
	// bridged: only what a bridge passes from port to port.
	bridged bool
}

// specOf is a rule for exactly this service from exactly this source and, where
// the packet is on its way to somebody else, to exactly that destination.
func specOf(f *facts, hook string) (spec, bool) {
	s := spec{family: f.family(), proto: f.Protocol}
	switch {
	case f.HasPorts:
		s.dport = f.DestinationPort
	case f.HasICMP:
		s.icmpType, s.hasICMPType = f.ICMP.Type, true
	case f.HasFragment && !f.Fragment.First():
		return s, false // its service is not known
	}
	if hook != "output" && hook != "postrouting" {
		s.src = f.Source
	}
	if hook != "input" {
		s.dst = f.Destination
	}
	if !portProtocol(s.proto) {
		s.dport = 0
	}
	if s.src.IsValid() && s.src.IsUnspecified() { // DHCP: hosts without an address yet
		if s.in = f.in; !interfaceNames.MatchString(s.in) {
			return s, false
		}
		s.src = netip.Addr{}
	}
	return s, s.proto != 0 && (s.src.IsValid() || s.dst.IsValid() || s.in != "")
}

// portProtocol reports whether every tool knows ports of the protocol.
func portProtocol(p packet.Protocol) bool {
	switch p {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, packet.ProtoDCCP:
		return true
	}
	return false
}

// source is where a packet comes from, "" for anywhere.
func (s *spec) source() string {
	switch {
	case s.from.IsValid():
		return s.from.String()
	case s.src.IsValid():
		return s.src.String()
	}
	return ""
}

// iptables are the spec's arguments, without the target.
func (s *spec) iptables() []string {
	var a []string
	add := func(words ...string) { a = append(a, words...) }
	if s.in != "" {
		add("-i", s.in)
	}
	if s.out != "" {
		add("-o", s.out)
	}
	if source := s.source(); source != "" {
		add("-s", source)
	}
	if s.dst.IsValid() {
		add("-d", s.dst.String())
	}
	if s.proto != 0 {
		add("-p", s.proto.String())
	}
	if s.dport != 0 {
		add("--dport", strconv.Itoa(int(s.dport)))
	}
	if s.hasICMPType {
		option := "--icmp-type"
		if s.family == "ip6" {
			option = "--icmpv6-type"
		}
		add(option, strconv.Itoa(int(s.icmpType)))
	}
	if s.established {
		add("-m", "conntrack", "--ctstate", s.states("RELATED", "RELATED,ESTABLISHED"))
	}
	if s.bridged {
		add("-m", "physdev", "--physdev-is-bridged")
	}
	return a
}

// states are those of an established spec, in a tool's words.
func (s *spec) states(related, both string) string {
	if s.related {
		return related
	}
	return both
}

// nft are the spec's words; ok is false where nft has none for it.
func (s *spec) nft() (words []string, ok bool) {
	add := func(w ...string) { words = append(words, w...) }
	if s.in != "" {
		add("iifname", nftName(s.in))
	}
	if s.out != "" {
		add("oifname", nftName(s.out))
	}
	if source := s.source(); source != "" {
		add(s.family, "saddr", source)
	}
	if s.dst.IsValid() {
		add(s.family, "daddr", s.dst.String())
	}
	switch {
	case s.dport != 0:
		add(s.proto.String(), "dport", strconv.Itoa(int(s.dport)))
	case s.hasICMPType:
		add(s.proto.String(), "type", strconv.Itoa(int(s.icmpType)))
	case s.proto != 0:
		add("meta", "l4proto", s.proto.String())
	}
	if s.established {
		add("ct", "state", s.states("related", "established,related"))
	}
	return words, !s.bridged
}

// interfaceNames are those that no tool reads as more than a name: iptables has +
// and nft has * for all that begin alike, and quotes end a name of nft's.
var interfaceNames = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.@:-]*$`)

var plainName = regexp.MustCompile(`^[a-z]{2,}[0-9]+$`)

// nftName writes an interface's name so that nft takes it for no keyword.
func nftName(name string) string {
	if plainName.MatchString(name) && name != "inet6" && ruleset.PlainName(name) {
		return name
	}
	return `"` + name + `"`
}

// rule is the spec as a rule of the model.
func (s *spec) rule(chain *ruleset.Chain) *ruleset.Rule {
	r := &ruleset.Rule{Chain: chain, Read: true}
	add := func(value []byte, fields ...ruleset.Field) {
		r.Statements = append(r.Statements, &ruleset.Match{Fields: fields, Ranges: []ruleset.Range{{From: value, To: value}}})
	}
	source, destination, nfproto := ruleset.IPSource, ruleset.IPDestination, byte(2)
	if s.family == "ip6" {
		source, destination, nfproto = ruleset.IP6Source, ruleset.IP6Destination, 10
	}
	if (s.source() != "" || s.dst.IsValid()) && chain.Table.Family == "inet" {
		add([]byte{nfproto}, ruleset.NFProto)
	}
	if s.in != "" {
		add(interfaceName(s.in), ruleset.InName)
	}
	if s.out != "" {
		add(interfaceName(s.out), ruleset.OutName)
	}
	switch {
	case s.from.IsValid():
		r.Statements = append(r.Statements, &ruleset.Match{Fields: []ruleset.Field{source},
			Ranges: []ruleset.Range{{From: s.from.Masked().Addr().AsSlice(), To: lastOf(s.from)}}})
	case s.src.IsValid():
		add(s.src.AsSlice(), source)
	}
	if s.dst.IsValid() {
		add(s.dst.AsSlice(), destination)
	}
	if s.proto != 0 {
		add([]byte{byte(s.proto)}, ruleset.L4Protocol)
	}
	if s.dport != 0 {
		add([]byte{byte(s.dport >> 8), byte(s.dport)}, ruleset.DestinationPort)
	}
	if s.hasICMPType {
		add([]byte{s.icmpType}, ruleset.ICMPType)
	}
	if s.established {
		bits := uint32(ruleset.CTRelated)
		if !s.related {
			bits |= ruleset.CTEstablished
		}
		r.Statements = append(r.Statements, stateMatch(bits))
	}
	r.Statements = append(r.Statements, &ruleset.Verdict{Kind: ruleset.Accept})
	return r
}

func interfaceName(name string) []byte {
	b := make([]byte, 16)
	copy(b, name)
	return b
}

// stateMatch holds for packets of any of the states: state & bits != 0.
func stateMatch(bits uint32) *ruleset.Match {
	zero := make([]byte, 4)
	return &ruleset.Match{
		Fields: []ruleset.Field{ruleset.CTState}, Mask: []byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)},
		Ranges: []ruleset.Range{{From: zero, To: zero}}, Negate: true,
	}
}

// ufw are the arguments behind `ufw allow`; nil where ufw has none for it. ufw
// reads no ICMP types: those stand in its before.rules.
func (s *spec) ufw(forward bool) []string {
	if s.proto != packet.ProtoTCP && s.proto != packet.ProtoUDP || s.dport == 0 || s.established || s.bridged {
		return nil
	}
	to := "any"
	if s.dst.IsValid() {
		to = s.dst.String()
	}
	var a []string
	if s.in != "" {
		a = append(a, "in", "on", s.in)
	}
	if s.out != "" {
		if !forward {
			return nil
		}
		a = append(a, "out", "on", s.out)
	}
	port := strconv.Itoa(int(s.dport))
	if source := s.source(); source != "" {
		return append(a, "proto", s.proto.String(), "from", source, "to", to, "port", port)
	}
	return append(a, "to", to, "port", port, "proto", s.proto.String())
}

func echoRequest(family string) uint8 {
	if family == "ip6" {
		return 128
	}
	return 8
}
