package integration

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// traceOne loads a ruleset into a lab of its own and traces it.
func traceOne(t *testing.T, s ruleset, args ...string) (*lab, *tracing) {
	t.Helper()
	l := newLab(t)
	if s.text != "" {
		s.load(t, l.host)
	}
	trace := start(t, []*lab{l}, args...)
	l.ready(t)
	return l, trace
}

// counted waits until the kernel has counted as many drops.
func counted(t *testing.T, l *lab, s ruleset, packets uint64) truth {
	t.Helper()
	var c truth
	eventually(t, "the kernel counts "+strconv.FormatUint(packets, 10)+" drops", func() bool {
		c = scenario{rulesets: []ruleset{s}}.count(t, l)
		return c.total() >= packets
	})
	return c
}

func TestNoSocket(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	l, trace := traceOne(t, ruleset{})
	before := noPorts(t, l.host)
	packet{port: 4001}.send(t, l)
	eventually(t, "the kernel counts a packet without a socket", func() bool {
		return noPorts(t, l.host) == before+1
	})
	drops := to(of(trace.stop(t), l.host), 4001)
	if len(drops) != 1 {
		t.Fatalf("%d records, want 1:\n%s", len(drops), show(drops))
	}
	d := drops[0]
	if d.Cause != "kernel" || d.Verdict != "drop" || d.Rule != nil {
		t.Errorf("not a drop by the kernel itself:\n%s", show(drops))
	}
	if !linux510() && d.Reason != "NO_SOCKET" {
		t.Errorf("reason %q, want NO_SOCKET", d.Reason)
	}
}

// noPorts is the kernel's count of UDP packets that no socket wanted.
func noPorts(t *testing.T, ns string) (n uint64) {
	t.Helper()
	within(t, ns, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		for line := range strings.Lines(string(text)) {
			// Udp: InDatagrams NoPorts …
			if f := strings.Fields(line); len(f) > 2 && f[0] == "Udp:" && f[2] != "NoPorts" {
				n = parse(t, f[2])
			}
		}
		return err
	})
	return n
}

func TestFragmentsAreOneRecord(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	for name, s := range map[string]ruleset{
		"nft":    {"nft", "table ip a {\n chain in { type filter hook input priority 0; udp dport 4011 counter drop\n }\n}"},
		"legacy": {"iptables-legacy", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp --dport 4011 -j DROP\nCOMMIT\n"},
	} {
		t.Run(name, func(t *testing.T) {
			l, trace := traceOne(t, s)
			packet{port: 4011, size: 6000}.send(t, l)
			kernel := counted(t, l, s, 1)
			drops := of(trace.stop(t), l.host)
			var netfilter []drop.Drop
			for _, d := range drops {
				if d.Packet.Protocol == "udp" {
					netfilter = append(netfilter, d)
				}
			}
			if len(netfilter) != 1 {
				t.Fatalf("%d records, want 1:\n%s", len(netfilter), show(drops))
			}
			compare(t, trace, netfilter, kernel)
		})
	}
}

func TestPortFilter(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	s := ruleset{"nft", "table ip a {\n chain in { type filter hook input priority 0\n" +
		"udp dport 4021 counter drop\n udp dport 4022 counter drop\n }\n}"}
	l, trace := traceOne(t, s, "--port", "4022")
	packet{port: 4021}.send(t, l)
	packet{port: 4022}.send(t, l)
	kernel := counted(t, l, s, 2)
	if len(kernel) != 2 {
		t.Fatalf("the packets did not meet both rules: %+v", kernel)
	}
	drops := of(trace.stop(t), l.host)
	if len(drops) != 1 || len(to(drops, 4022)) != 1 {
		t.Errorf("want only the drop at port 4022:\n%s", show(drops))
	}
}
