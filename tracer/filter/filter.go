// Package filter decides which drops were asked for. One Filter is evaluated in
// three places: in the kernel, before a record is reserved (Kernel, and
// bpf/filter.h that reads it); on an Event, for what the kernel's form has no
// room for (MatchEvent); and on a resolved drop, for what only the ruleset tells
// (MatchResolved). A drop is shown if all three agree.
//
// Values of one flag are alternatives, flags narrow each other.
//
// Ports and addresses are looked for wherever a drop has them: in the packet, in
// both tuples of its conntrack entry and in the header that an ICMP error quotes;
// --dport 80 finds what DNAT has turned into 8080. Source and destination are as
// the packet travels, so that of the tuple for the other direction they are
// swapped. Each flag may find its value in another place.
package filter

import (
	"net/netip"

	"github.com/droptrace/droptrace/tracer/packet"
)

// Spec is a filter as the command line gives it, one field a flag.
type Spec struct {
	Port, Sport, Dport []string // 80, 8000-8010, http
	Host, Src, Dst     []string // an address or a network, numeric
	Proto              []string // tcp, 132
	Iface, In, Out     []string // eth0, veth*, eth+
	Hook, Table, Chain []string
	CTState            []string // new established related invalid untracked
	Mark               []string // VALUE[/MASK]
	Netfilter          bool

	// Namespaces and drop reasons have numbers that only the running kernel
	// knows: the caller looks them up. The names serve Describe.
	Netns         []string
	NetnsInodes   []uint32
	Reason        []string
	ReasonNumbers []uint32
}

// Filter is a parsed Spec. It is not changed after Parse and may be used by
// several goroutines. The zero Filter matches everything.
type Filter struct {
	spec      Spec
	ports     [sides][]portRange
	hosts     [sides][]netip.Prefix
	ifaces    [sides][]ifaceName
	protocols []packet.Protocol
	netns     []uint32
	hooks     []Hook
	reasons   []uint32
	marks     []mark
	states    []string
}

// side is the end of a packet's way that a flag is about.
type side int

const (
	either      side = iota // --port --host --iface
	source                  // --sport --src --in
	destination             // --dport --dst --out
	sides
)

// met reports whether a flag about s is met, given which ends fit.
func (s side) met(src, dst bool) bool {
	return src && s != destination || dst && s != source
}

// Parse reads a Spec. An error is an *Error about the first value that is wrong.
func Parse(s Spec) (*Filter, error) {
	f := &Filter{spec: s}
	f.netns, f.reasons = s.NetnsInodes, s.ReasonNumbers
	p := parser{}
	f.ports = [sides][]portRange{
		parseList(&p, "port", s.Port, parsePort),
		parseList(&p, "sport", s.Sport, parsePort),
		parseList(&p, "dport", s.Dport, parsePort),
	}
	f.hosts = [sides][]netip.Prefix{
		parseList(&p, "host", s.Host, parseHost),
		parseList(&p, "src", s.Src, parseHost),
		parseList(&p, "dst", s.Dst, parseHost),
	}
	f.protocols = parseList(&p, "proto", s.Proto, parseProtocol)
	f.ifaces = [sides][]ifaceName{
		parseList(&p, "iface", s.Iface, parseIface),
		parseList(&p, "in", s.In, parseIface),
		parseList(&p, "out", s.Out, parseIface),
	}
	f.hooks = parseList(&p, "hook", s.Hook, parseHook)
	parseList(&p, "table", s.Table, parseName)
	parseList(&p, "chain", s.Chain, parseName)
	f.states = parseList(&p, "ctstate", s.CTState, parseState)
	f.marks = parseList(&p, "mark", s.Mark, parseMark)
	p.resolved("netns", s.Netns, len(s.NetnsInodes), "no namespace was found for it")
	p.resolved("reason", s.Reason, len(s.ReasonNumbers), "is no drop reason of this kernel")
	if p.err != nil {
		return nil, p.err
	}
	return f, nil
}

// parser keeps the first error.
type parser struct{ err error }

func parseList[T any](p *parser, flag string, values []string, parse func(string) (T, error)) []T {
	var list []T
	for _, v := range values {
		t, err := parse(v)
		if err != nil && p.err == nil {
			p.err = withFlag(err, flag, v)
		}
		list = append(list, t)
	}
	return list
}

// resolved refuses names for which the caller found no number: they would let
// everything through.
func (p *parser) resolved(flag string, names []string, numbers int, problem string) {
	if len(names) > 0 && numbers == 0 && p.err == nil {
		p.err = &Error{Flag: flag, Value: names[0], Problem: problem}
	}
}
