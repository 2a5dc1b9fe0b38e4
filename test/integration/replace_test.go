package integration

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// Rulesets of one rule each, whose places are the same whatever the port.
const (
	xt    = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp --dport %s -j DROP\nCOMMIT\n"
	table = "flush ruleset\ntable ip a {\n chain in { type filter hook input priority 0\n udp dport %s counter drop\n }\n}"
)

// A ruleset that replaces another has the same handles and the same layout.
// While droptrace is stopped it cannot read the first one after the drop.
func TestReplacedRuleset(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	for _, test := range []struct{ name, tool, text, then string }{
		{"nft", "nft", table, table},
		{"nft flushed", "nft", table, "flush ruleset\n"},
		{"iptables-nft", "iptables-nft", xt, xt},
		{"iptables-legacy", "iptables-legacy", xt, xt},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := ruleset{test.tool, strings.Replace(test.text, "%s", "4031", 1)}
			second := ruleset{test.tool, strings.Replace(test.then, "%s", "4032", 1)}
			l, trace := traceOne(t, first, "--netfilter")
			trace.signal(t, syscall.SIGSTOP)
			packet{port: 4031}.send(t, l)
			kernel := counted(t, l, first, 1)
			second.load(t, l.host)
			trace.signal(t, syscall.SIGCONT)
			drops := to(of(trace.stop(t), l.host), 4031)
			if len(drops) != 1 {
				t.Fatalf("%d records, want 1:\n%s", len(drops), show(drops))
			}
			d := drops[0]
			if d.Hook != "input" || d.In == nil || d.In.Name != "eth0" {
				t.Errorf("not at input from eth0:\n%s", show(drops))
			}
			if d.Rule == nil {
				return
			}
			if strings.Contains(d.Rule.Text, "4032") {
				t.Errorf("text of the rule that came later:\n%s", show(drops))
			}
			for r := range kernel {
				if got := ruleOf(d.Rule); d.Attribution.Certainty == drop.Certain &&
					(got.Table != r.Table || got.Chain != r.Chain || got.Handle != r.Handle) {
					t.Errorf("certain of %+v, the kernel counted in %+v", got, r)
				}
			}
		})
	}
}

// What was read for one drop is no answer to the next, after a replacement.
func TestDropAfterReplacement(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	for _, test := range []struct{ name, tool, text string }{
		{"nft", "nft", table}, {"iptables-nft", "iptables-nft", xt}, {"iptables-legacy", "iptables-legacy", xt},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := ruleset{test.tool, strings.Replace(test.text, "%s", "4041", 1)}
			second := ruleset{test.tool, strings.Replace(test.text, "%s", "4042", 1)}
			l, trace := traceOne(t, first, "--netfilter")
			packet{port: 4041}.send(t, l)
			eventually(t, "the first drop is told", func() bool {
				return bytes.Contains(trace.stdout.bytes(), []byte(`"destination_port":4041`))
			})
			second.load(t, l.host)
			packet{port: 4042}.send(t, l)
			kernel := counted(t, l, second, 1)
			drops := to(of(trace.stop(t), l.host), 4042)
			if len(drops) != 1 {
				t.Fatalf("%d records, want 1:\n%s", len(drops), show(drops))
			}
			r := drops[0].Rule
			if r == nil {
				return
			}
			if strings.Contains(r.Text, "4041") {
				t.Errorf("text of the rule that was there before:\n%s", show(drops))
			}
			// The kernel has just counted in it.
			if strings.Contains(r.TextMissing, "removed") {
				t.Errorf("a rule that is there is called removed:\n%s", show(drops))
			}
			for k := range kernel {
				if drops[0].Attribution.Certainty == drop.Certain && r.Engine != k.Engine {
					t.Errorf("certain of engine %s, want %s", r.Engine, k.Engine)
				}
			}
		})
	}
}

// twoPorts drops two ports, by rules of one size in a table of some pages.
func twoPorts(first, second uint16) ruleset {
	text := "*filter\n:INPUT ACCEPT [0:0]\n"
	for _, port := range []uint16{first, second} {
		text += fmt.Sprintf("-A INPUT -p udp --dport %d -j DROP\n", port)
	}
	return ruleset{"iptables-legacy", text + strings.Repeat("-A INPUT -p udp --dport 1 -j DROP\n", 60) + "COMMIT\n"}
}

// A table's memory is given to a later one, the counters of its rules too, and
// to other rules: while droptrace is stopped it learns nothing of it.
func TestTablesInTheSameMemory(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	l, trace := traceOne(t, twoPorts(4051, 4052), "--netfilter")
	packet{port: 4051}.send(t, l)
	eventually(t, "the first drop is told", func() bool {
		return bytes.Contains(trace.stdout.bytes(), []byte(`"destination_port":4051`))
	})
	trace.signal(t, syscall.SIGSTOP)
	for port := uint16(4100); port < 4140; port++ {
		s := twoPorts(4052, port)
		if port%3 == 0 {
			s = twoPorts(port, 4052)
		}
		s.load(t, l.host)
		packet{port: port}.send(t, l)
		counted(t, l, s, 1)
	}
	trace.signal(t, syscall.SIGCONT)
	drops := of(trace.stop(t), l.host)
	for port := uint16(4100); port < 4140; port++ {
		for _, d := range to(drops, port) {
			if d.Attribution.Certainty == drop.Certain && d.Rule.TextMissing == "" && !strings.Contains(d.Rule.Text, strconv.Itoa(int(port))) {
				t.Errorf("certain of a rule that another ruleset had:\n%s", show([]drop.Drop{d}))
			}
		}
	}
}

// Nobody watched the rules of a table that is new.
func TestFirstDropOfALegacyTable(t *testing.T) {
	l, trace := traceOne(t, ruleset{}, "--netfilter")
	s := twoPorts(4061, 4062)
	s.load(t, l.host)
	packet{port: 4062}.send(t, l)
	kernel := counted(t, l, s, 1)
	drops := to(of(trace.stop(t), l.host), 4062)
	if len(drops) != 1 {
		t.Fatalf("%d records, want 1:\n%s", len(drops), show(drops))
	}
	if linux510() && drops[0].Attribution.Certainty == drop.Unknown {
		return // it has no bpf_loop, to walk a table with
	}
	if d := drops[0]; d.Attribution.Certainty != drop.Certain || kernel[ruleOf(d.Rule)] != 1 {
		t.Errorf("the kernel counted in %v:\n%s", kernel, show(drops))
	}
}

// A table of two replacements later often lies where the first one lay, its
// counters, too: nothing but its rules is another.
func TestTableAtTheSameAddress(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	port := uint16(4051)
	rules := func() ruleset {
		return ruleset{"iptables-legacy", strings.Replace(xt, "%s", strconv.Itoa(int(port)), 1)}
	}
	l, trace := traceOne(t, rules(), "--netfilter")
	for range 10 {
		for range 2 {
			port++
			rules().load(t, l.host)
		}
		for n := range 4 { // the first is told apart by the counter it begins at
			packet{port: port}.send(t, l)
			counted(t, l, rules(), uint64(n+1))
		}
	}
	eventually(t, "a rule is certain", func() bool {
		packet{port: port}.send(t, l)
		return bytes.Contains(trace.stdout.bytes(), []byte(`"certainty":"certain","method":"xt-counter"`))
	})
	for _, d := range of(trace.stop(t), l.host) {
		if d.Attribution.Certainty != drop.Certain || d.Cause != "rule" || d.Rule.TextMissing != "" {
			continue
		}
		if want := "--dport " + strconv.Itoa(int(*d.Packet.DestinationPort)) + " "; !strings.Contains(d.Rule.Text, want) {
			t.Errorf("certain of %q:\n%s", d.Rule.Text, show([]drop.Drop{d}))
		}
	}
}

// A rule keeps its handle where others come before it, and not its number, which is
// left out where the rules could not be read again in time.
func TestNumberAfterAnInsertion(t *testing.T) {
	first := ruleset{"iptables-nft", strings.Replace(xt, "%s", "4061", 1)}
	l, trace := traceOne(t, first, "--netfilter")
	for want := 1; want <= 3; want++ {
		packet{port: 4061}.send(t, l)
		counted(t, l, first, uint64(want))
		eventually(t, "the drop is told", func() bool {
			return bytes.Count(trace.stdout.bytes(), []byte(`"destination_port":4061`)) == want
		})
		command(t, "", "ip", "netns", "exec", l.host, "iptables-nft", "-I", "INPUT", "-p", "tcp", "-j", "ACCEPT")
	}
	for i, d := range to(of(trace.stop(t), l.host), 4061) {
		if d.Attribution.Certainty == drop.Certain && d.Rule.Number != 0 && d.Rule.Number != i+1 {
			t.Errorf("certain of rule %d, the kernel has it as number %d:\n%s", d.Rule.Number, i+1, show([]drop.Drop{d}))
		}
	}
}
