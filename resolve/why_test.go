package resolve

import (
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/tracer/event"
)

// repeated is a resolver that has diagnosed the drop before.
func repeated() (*Resolver, *namespace, *event.Event, *drop.Drop) {
	r := &Resolver{now: time.Now}
	n := &namespace{}
	e := &event.Event{Protocol: 0x0800, HeaderLen: 28, Hook: 1, PF: 2, InIndex: 2}
	copy(e.Header[:], []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1, 0x9c, 0x40, 0, 53, 0, 8})
	d := &drop.Drop{Hook: "input", Verdict: "drop", Cause: "policy", Attribution: drop.Attribution{Certainty: drop.Certain}}
	n.whys.add(r.whyKey(n, e, d), []drop.Why{{Code: "policy-drop-no-accept"}}, time.Now(), time.Millisecond)
	return r, n, e, d
}

func TestRepeatedDropIsNotDiagnosedAgain(t *testing.T) {
	r, n, e, d := repeated()
	e.Header[20]++ // another source port
	if got := r.why(t.Context(), n, e, d); len(got) != 1 || got[0].Code != "policy-drop-no-accept" {
		t.Errorf("got %+v", got)
	}
	d.Attribution.Certainty = drop.Probable
	if got := r.why(t.Context(), n, e, d); got != nil {
		t.Errorf("a rule that is not certain has a cause: %+v", got)
	}
}

func TestWhysAreKeptByAllThatRulesLookAt(t *testing.T) {
	for _, c := range []struct {
		match        string
		ports, bytes bool
	}{
		{"-s 192.0.2.0/24 -p udp -m udp --dport 53 -m conntrack --ctstate NEW", false, false},
		{"-p udp -m udp --sport 40000:50000", true, false},
		{"-m length --length 0:100", false, true},
		{"-m ttl --ttl-eq 1", false, true},
	} {
		saved, err := iptables.Parse(strings.NewReader("*filter\n:INPUT DROP [0:0]\n-A INPUT "+c.match+" -j ACCEPT\nCOMMIT\n"), iptables.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var w whys
		for range 2 {
			if ports, bytes := w.ask(replay.New(saved)); ports != c.ports || bytes != c.bytes {
				t.Errorf("%s: source ports %v, other bytes %v", c.match, ports, bytes)
			}
		}
	}
	if ports, bytes := new(whys).ask(nil); !ports || !bytes {
		t.Error("rules that are not known look at less than all")
	}
}

func TestFloodOfDiagnosesIsBounded(t *testing.T) {
	var w whys
	now := time.Now()
	for i := range 100 {
		if !w.affords(now) {
			if i != 10 {
				t.Errorf("after %d of 10 ms each", i)
			}
			break
		}
		w.add(whyKey{location: uint64(i)}, nil, now, 10*time.Millisecond)
	}
	if !w.affords(now.Add(time.Second)) {
		t.Error("not again a second later")
	}
}

func BenchmarkRepeatedWhy(b *testing.B) {
	r, n, e, d := repeated()
	for b.Loop() {
		if len(r.why(b.Context(), n, e, d)) != 1 {
			b.Fatal("not from the cache")
		}
	}
}
