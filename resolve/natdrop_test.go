package resolve

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
)

func icmpEvent(kind uint8, status uint32, flags event.Flag) *event.Event {
	e := &event.Event{Hook: 3, PF: 2, Flags: flags, Protocol: 0x0800, HeaderLen: 56}
	e.CT.Present, e.CT.CTInfo, e.CT.Status = event.CTEntry, 1, status
	copy(e.Header[:], []byte{0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1})
	e.Header[20] = kind
	e.Header[28] = 0x45 // what it is about
	return e
}

func TestNATIsBlamedForWhatItRefuses(t *testing.T) {
	const confirmed = netfilter.StatusConfirmed
	for _, test := range []struct {
		name string
		e    *event.Event
		want bool
	}{
		{"a redirect of a connection from before NAT", icmpEvent(5, confirmed, event.NATHere), true},
		{"a redirect of one that is translated", icmpEvent(5, confirmed|netfilter.StatusNATDone|netfilter.StatusDNAT, event.NATHere), true},
		{"a redirect of one that is not", icmpEvent(5, confirmed|netfilter.StatusNATDone, event.NATHere), false},
		{"another error", icmpEvent(3, confirmed, event.NATHere), false},
		{"no NAT on the hook", icmpEvent(5, confirmed, 0), false},
	} {
		r := &Resolver{Config: Config{Symbols: symbol.Hidden()}}
		d := &drop.Drop{Cause: "hook"}
		if got := r.blameNAT(test.e, d); got != test.want {
			t.Errorf("%s: blamed %v", test.name, got)
		}
		if test.want && (d.Attribution.Certainty != drop.Probable || len(d.Why) != 1 || d.Why[0].Code != drop.WhyNATRedirect) {
			t.Errorf("%s: %+v", test.name, d)
		}
	}
	r := &Resolver{Config: Config{Symbols: symbol.Hidden()}}
	known := icmpEvent(5, confirmed, event.NATHere)
	known.HookFn = 1 // the frame shows another function
	if r.blameNAT(known, &drop.Drop{}) {
		t.Error("NAT is blamed for another's drop")
	}
}
