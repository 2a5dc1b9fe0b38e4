package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droptrace/droptrace/resolve/drop"
)

// A scenario is one ruleset and packets that meet it.
type scenario struct {
	name     string
	rulesets []ruleset
	packets  []sent
}

// sent is a packet with what becomes of it: nothing, if want has no cause.
type sent struct {
	packet
	want want
}

// want is what has no counter. A zero field is not compared, but for certainty.
type want struct {
	cause, verdict string
	family, table  string
	chain, base    string
	hook, in, out  string
	text           string         // within the rule's
	certainty      drop.Certainty // certain if empty
	function       string
}

// check runs all scenarios, each in a lab of its own, under one droptrace: it must keep
// their rulesets apart. The next one begins when the drops of the last have all they
// wait for: in a guest a program takes seconds, and a dozen namespaces read at once
// would run into the limits of each.
func check(t *testing.T, scenarios []scenario) {
	t.Helper()
	labs := make([]*lab, len(scenarios))
	for i, s := range scenarios {
		labs[i] = newLab(t)
		for _, r := range s.rulesets {
			r.load(t, labs[i].host)
		}
	}
	trace := start(t, labs, "--netfilter")
	counts := make([]truth, len(scenarios))
	for i, s := range scenarios {
		labs[i].ready(t)
		var dropped uint64
		for _, p := range s.packets {
			p.send(t, labs[i])
			if p.want.cause != "" {
				dropped++
			}
		}
		eventually(t, s.name+": the kernel counts all drops", func() bool {
			counts[i] = s.count(t, labs[i])
			return counts[i].total() >= dropped
		})
		trace.settle(t)
	}
	drops := trace.stop(t)
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			own := of(drops, labs[i].host)
			compare(t, trace, own, counts[i])
			for _, p := range s.packets {
				p.check(t, trace, own)
			}
			if t.Failed() {
				t.Logf("kernel: %+v\ndroptrace:\n%s", counts[i], show(own))
			}
		})
	}
}

func (s scenario) count(t *testing.T, l *lab) truth {
	t.Helper()
	c := make(truth)
	for _, r := range s.rulesets {
		r.count(t, l.host, c)
	}
	return c
}

// compare holds the rules that droptrace is certain of against the kernel's
// counters.
func compare(t *testing.T, trace *tracing, drops []drop.Drop, kernel truth) {
	t.Helper()
	got := make(truth)
	for _, d := range drops {
		if d.Attribution.Certainty == drop.Certain && d.Rule != nil {
			got[ruleOf(d.Rule)]++
		}
	}
	for r, packets := range got {
		if packets > kernel[r] {
			t.Errorf("certain of %d drops by %+v, the kernel counted %d", packets, r, kernel[r])
		}
	}
	for r, packets := range kernel {
		if packets > got[r] && !r.Queues && !(trace.mayNotKnow() && r.Engine != "iptables-legacy") {
			t.Errorf("certain of %d drops by %+v, the kernel counted %d", got[r], r, packets)
		}
	}
}

func (p sent) check(t *testing.T, trace *tracing, drops []drop.Drop) {
	t.Helper()
	own := to(drops, p.port)
	if p.want.cause == "" {
		if len(own) > 0 {
			t.Errorf("port %d: a drop of a packet that passed", p.port)
		}
		return
	}
	if len(own) != 1 {
		t.Errorf("port %d: %d records, want 1", p.port, len(own))
		return
	}
	p.want.check(t, trace, p.port, own[0])
}

func (w want) check(t *testing.T, trace *tracing, port uint16, d drop.Drop) {
	t.Helper()
	nft := d.Rule == nil || d.Rule.Engine != "iptables-legacy"
	if w.certainty == "" {
		w.certainty = drop.Certain
	}
	got := want{hook: d.Hook, certainty: d.Attribution.Certainty}
	if d.In != nil {
		got.in = d.In.Name
	}
	if d.Out != nil {
		got.out = d.Out.Name
	}
	if got.certainty != drop.Certain && nft && trace.mayNotKnow() {
		// What is left is where it happened.
		w = want{hook: w.hook, in: w.in, out: w.out, certainty: got.certainty}
	} else {
		got.cause, got.verdict, got.function = d.Cause, d.Verdict, d.Function
	}
	if d.Rule != nil && w.cause != "" {
		got.family, got.table, got.chain, got.base = d.Rule.Family, d.Rule.Table, d.Rule.Chain, d.Rule.BaseChain
		if strings.Contains(d.Rule.Text, w.text) {
			got.text = w.text
		} else {
			got.text = d.Rule.Text
		}
	}
	for _, f := range []struct{ want, got *string }{
		{&w.family, &got.family}, {&w.table, &got.table}, {&w.chain, &got.chain}, {&w.base, &got.base},
		{&w.hook, &got.hook}, {&w.in, &got.in}, {&w.out, &got.out}, {&w.function, &got.function},
		{&w.text, &got.text}, {&w.verdict, &got.verdict}, {&w.cause, &got.cause},
	} {
		if *f.want == "" {
			*f.got = ""
		}
	}
	if diff := cmp.Diff(w, got, cmp.AllowUnexported(want{})); diff != "" {
		t.Errorf("port %d (-want +got):\n%s", port, diff)
	}
}

func udp(port uint16, w want) sent { return sent{packet{port: port}, w} }
func tcp(port uint16, w want) sent { return sent{packet{port: port, tcp: true}, w} }

// input is the want of a packet from the client that a rule drops.
func input(cause, verdict, table, chain, text string) want {
	return want{cause: cause, verdict: verdict, table: table, chain: chain, text: text, hook: "input", in: "eth0"}
}
