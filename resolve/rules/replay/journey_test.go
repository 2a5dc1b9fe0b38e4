package replay

import (
	"net/netip"
	"testing"

	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// lanes routes 10.0.0.2 here and 10.9.0.0/16 out of eth1.
type lanes struct{}

func (lanes) FIB(*Packet, uint8, ruleset.FIBResult) ([]byte, Presence) { return nil, NotKnown }

func (lanes) Link(Interface, ruleset.Field) ([]byte, Presence) { return nil, NotKnown }

func (lanes) Route(p *Packet) Route {
	switch {
	case p.Bytes[17] == 9:
		return Route{Type: 1, Out: Interface{Known: true, Index: 3, Name: "eth1"}}
	case p.Bytes[16] == 10:
		return Route{Type: routeLocal, Out: Interface{Known: true, Index: 1, Name: "lo"}}
	}
	return Route{Refused: "no route to its destination"}
}

// hooks are those that a packet met; "-" is routing.
func hooks(j *Journey) (out string) {
	for _, s := range j.Stages {
		if s.Route != nil {
			out += "- "
		} else {
			out += s.Hook.Name + " "
		}
	}
	return out
}

func natOf(hook string, n *ruleset.NAT) *ruleset.Chain {
	c := baseOf(hook, 0, "accept", statements{n})
	c.Type = "nat"
	return c
}

func dnatTo(a string) *ruleset.NAT {
	addr := netip.MustParseAddr(a)
	return &ruleset.NAT{Kind: ruleset.DNAT, From: addr, To: addr, Known: true}
}

func TestJourneyFollowsTheRoute(t *testing.T) {
	elsewhere := func(p *Packet) { p.Bytes[17] = 9 }
	outside := func(p *Packet) { p.Bytes[16] = 192 }
	local := func(p *Packet) { p.In, p.Out = none, Interface{} }
	ttl := func(p *Packet) { p.Bytes[17], p.Bytes[8] = 9, 1 }
	last := is(ruleset.IPTTL, 63)
	saw := func(f ruleset.Field, v uint64) []*ruleset.Chain {
		return []*ruleset.Chain{baseOf("forward", 0, "accept", statements{is(f, v), say(ruleset.Drop)})}
	}
	tests := []struct {
		name    string
		chains  []*ruleset.Chain
		change  func(*Packet)
		hooks   string
		verdict Verdict
	}{
		{"to this host", nil, nil, "prerouting - input ", Accepted},
		{"through it", nil, elsewhere, "prerouting - forward postrouting ", Accepted},
		{"nowhere", nil, outside, "prerouting - ", Dropped},
		{"of this host to itself", nil, local, "- output postrouting prerouting input ", Accepted},
		{"at the end of its TTL", nil, ttl, "prerouting - ", Dropped},
		{"ends where it is dropped", []*ruleset.Chain{baseOf("prerouting", 0, "drop")}, nil, "prerouting ", Dropped},
		{"by DNAT to another host", []*ruleset.Chain{natOf("prerouting", dnatTo("10.9.0.1"))}, nil, "prerouting - forward postrouting ", Accepted},
		{"by DNAT of the output hook", []*ruleset.Chain{natOf("output", dnatTo("10.9.0.1"))}, local, "- output - postrouting ", Accepted},
		{"forwarded with one TTL less", []*ruleset.Chain{baseOf("forward", 0, "accept", statements{last, say(ruleset.Drop)})}, elsewhere, "prerouting - forward ", Dropped},
		{"the outlet is known behind routing", saw(ruleset.OutIndex, 3), elsewhere, "prerouting - forward ", Dropped},
		{"not known behind NAT that is not", []*ruleset.Chain{natOf("prerouting", &ruleset.NAT{Kind: ruleset.DNAT})}, nil, "prerouting - ", CannotKnow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := udp(80)
			if tt.change != nil {
				tt.change(p)
			}
			j := New(tableOf(tt.chains...)).Journey(p, lanes{}, Options{})
			if got := hooks(j); got != tt.hooks {
				t.Errorf("hooks are %q, want %q", got, tt.hooks)
			}
			if j.Verdict != tt.verdict {
				t.Errorf("verdict is %d, want %d (stopped: %s, refused: %s)", j.Verdict, tt.verdict, j.Stopped, j.Refused)
			}
		})
	}
}

func TestTranslationShowsInTheConnection(t *testing.T) {
	forward := baseOf("forward", 0, "accept",
		statements{is(ruleset.IPDestination, 0x0a090001), is(ruleset.CTOrigDestPort, 80),
			&ruleset.Match{Fields: []ruleset.Field{ruleset.CTStatus}, Mask: bytesOf(netfilter.StatusDNAT, 4), Negate: true,
				Ranges: []ruleset.Range{{From: bytesOf(0, 4), To: bytesOf(0, 4)}}}, say(ruleset.Drop)})
	j := New(tableOf(natOf("prerouting", dnatTo("10.9.0.1")), forward)).Journey(udp(80), lanes{}, Options{})
	if j.Verdict != Dropped || j.Last.Chain != forward {
		t.Fatalf("verdict %d at %+v", j.Verdict, j.Last)
	}
}

func TestDropMayBeOfAnEarlierHook(t *testing.T) {
	maybe := baseOf("prerouting", 0, "accept", statements{limit(), say(ruleset.Drop)})
	surely := baseOf("input", 0, "drop")
	j := New(tableOf(maybe, surely)).Journey(udp(80), lanes{}, Options{})
	if j.Verdict != Dropped || j.Last.Chain != nil || len(j.Candidates) != 2 {
		t.Fatalf("verdict %d, last %+v, %d candidates", j.Verdict, j.Last, len(j.Candidates))
	}
}

func TestBeforeForgetsWhatTheHookMayHaveDone(t *testing.T) {
	chain := baseOf("input", 0, "accept", statements{is(ruleset.Mark, 1), say(ruleset.Drop)}, statements{mark(2)}, statements{say(ruleset.Drop)})
	f := New(tableOf(chain))
	h := Hook{Family: "ip", Name: "input"}
	p := udp(80)
	p.Mark = 2
	before := f.Before(h, *p)
	if got := f.At(h, &before, nil, Options{}); len(got.Candidates) != 2 {
		t.Errorf("%d candidates: the mark may have been 1", len(got.Candidates))
	}
}
