package filter

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/tracer/packet"
)

// Recorded is what a recorded drop still tells, by name where the machine that
// dropped it had numbers. Fields of which nothing is known are zero.
type Recorded struct {
	Netns           uint32 // inode
	NetnsName       string
	NetnsPID        int
	Reason          string
	Mark            uint32
	Hook            string
	Netfilter       bool // netfilter had part in the drop
	In, Out, Device string
	Protocol        string
	// Packet is the outermost header, Inner the one that an ICMP error quotes.
	// Own and Other are the conntrack tuples, both turned so as the packet
	// travels.
	Packet, Inner, Own, Other Endpoints
	Table, Chain, CTState     string
}

// Endpoints are the addresses and ports of one header or tuple.
type Endpoints struct {
	Source, Destination         netip.Addr
	SourcePort, DestinationPort uint16
	HasPorts                    bool
}

// Mirror returns e as a packet of the other direction has it.
func (e Endpoints) Mirror() Endpoints {
	return Endpoints{e.Destination, e.Source, e.DestinationPort, e.SourcePort, e.HasPorts}
}

// ParseRecorded reads a Spec for MatchRecorded. Namespaces and reasons are compared
// by name, so that the numbers of the machine that reads play no part.
func ParseRecorded(s Spec) (*Filter, error) {
	netns, reason := s.Netns, s.Reason
	s.Netns, s.NetnsInodes, s.Reason, s.ReasonNumbers = nil, nil, nil, nil
	f, err := Parse(s)
	if err != nil {
		return nil, err
	}
	for _, name := range reason {
		f.spec.Reason = append(f.spec.Reason, reasonName(name))
	}
	f.spec.Netns = netns
	return f, nil
}

// reasonName takes the spellings that the live filter takes.
func reasonName(s string) string {
	s = strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(s)), "-", "_")
	return strings.TrimPrefix(strings.TrimPrefix(s, "SKB_DROP_REASON_"), "SKB_")
}

// MatchRecorded decides all flags on a recorded drop, as the kernel, MatchEvent and
// MatchResolved together decide them on a live one. Where netfilter had no part in
// a drop and its device is not known, no flag about interfaces is met.
func (f *Filter) MatchRecorded(r *Recorded) bool {
	return f.matchNames(r) && f.matchRecordedIfaces(r) && f.matchRecordedFlow(r) &&
		f.MatchResolved(r.Table, r.Chain, r.CTState)
}

func (f *Filter) matchNames(r *Recorded) bool {
	switch {
	case len(f.spec.Netns) > 0 && !slices.ContainsFunc(f.spec.Netns, r.inNetns):
		return false
	case !among(reasonName(r.Reason), f.spec.Reason):
		return false
	case len(f.marks) > 0 && !slices.ContainsFunc(f.marks, func(m mark) bool { return r.Mark&m.mask == m.value }):
		return false
	case f.spec.Netfilter && !r.Netfilter:
		return false
	}
	return len(f.hooks) == 0 ||
		slices.ContainsFunc(f.hooks, func(h Hook) bool { return h.String() == r.Hook })
}

// inNetns compares with what --netns takes: a name, a path of `ip netns`, pid:N,
// inode:N or net:[N].
func (r *Recorded) inNetns(spec string) bool {
	if s, ok := strings.CutPrefix(spec, "pid:"); ok {
		return s == strconv.Itoa(r.NetnsPID) && r.NetnsPID != 0
	}
	inode := strconv.FormatUint(uint64(r.Netns), 10)
	if s, ok := strings.CutPrefix(spec, "inode:"); ok {
		return s == inode
	}
	if s, ok := strings.CutPrefix(spec, "net:["); ok {
		return s == inode+"]"
	}
	return r.NetnsName != "" && path.Base(spec) == r.NetnsName
}

func (f *Filter) matchRecordedIfaces(r *Recorded) bool {
	for s, list := range f.ifaces {
		if len(list) > 0 && !slices.ContainsFunc(list, func(n ifaceName) bool {
			return side(s).met(n.named(r.In), n.named(r.Out)) ||
				(side(s) == either || r.Hook == "") && n.named(r.Device)
		}) {
			return false
		}
	}
	return true
}

func (n ifaceName) named(name string) bool {
	if n.prefix {
		return name != "" && strings.HasPrefix(name, n.text)
	}
	return name == n.text
}

func (f *Filter) matchRecordedFlow(r *Recorded) bool {
	if len(f.protocols) > 0 {
		p, ok := packet.ParseProtocol(r.Protocol)
		if !ok || !slices.Contains(f.protocols, p) {
			return false
		}
	}
	views := [...]view{r.Packet.view(), r.Inner.view(), r.Own.view(), r.Other.view()}
	for s := range sides {
		if !f.matchPorts(views[:], s) || !f.matchHosts(views[:], s) {
			return false
		}
	}
	return true
}

func (e Endpoints) view() view {
	return view{e.Source, e.Destination, e.SourcePort, e.DestinationPort, e.HasPorts}
}
