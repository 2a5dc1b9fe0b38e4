package integration

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// arrivalsTruth counts what comes to the host and what it answers, by rules that
// let all of it pass. The port that an error quotes lies 30 bytes into it.
const arrivalsTruth = `table netdev truth {
	chain in {
		type filter hook ingress device eth0 priority 0; policy accept;
		udp dport 7000 counter
	}
}
table ip truth {
	chain out {
		type filter hook output priority 0; policy accept;
		icmp type destination-unreachable @th,240,16 7000 counter
	}
}`

// counters returns what the rules of a namespace counted, in the order of
// `nft list ruleset`, by family.
func counters(t *testing.T, ns string) map[string]uint64 {
	t.Helper()
	counts := make(map[string]uint64)
	for _, r := range listNFT(t, ns) {
		for _, e := range r.Expr {
			if raw, ok := e["counter"]; ok {
				var c struct{ Packets uint64 }
				if err := json.Unmarshal(raw, &c); err != nil {
					t.Fatal(err)
				}
				counts[r.Family] += c.Packets
			}
		}
	}
	return counts
}

// TestArrivals: of packets that come and are dropped by nobody, those that match
// are counted, each once, and the errors that quote them as sent.
func TestArrivals(t *testing.T) {
	nstest.NotOnKernel(t, "6.1", "covered by 5.10 and 6.12")
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	checkArrivals(t, map[string][]string{
		"port":                {"--port", "7000"},
		"conditions of drops": {"--port", "7000", "--hook", "forward", "--netfilter"},
	})
}

func TestArrivalsByInterface(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	checkArrivals(t, map[string][]string{
		"interface and host": {"--iface", "eth0", "--host", clientIP, "--port", "7000"},
		"in":                 {"--in", "eth0", "--port", "7000"},
	})
}

// TestAnExpressionCountsArrivals needs tcpdump to compile it.
func TestAnExpressionCountsArrivals(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	checkArrivals(t, map[string][]string{"expression": {"udp dst port 7000 or icmp[30:2] = 7000"}})
}

func checkArrivals(t *testing.T, filters map[string][]string) {
	t.Helper()
	for name, filter := range filters {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			ruleset{"nft", arrivalsTruth}.load(t, l.host)
			l.ready(t)
			const matching, others = 1204, 77
			r := start(t, []*lab{l}, append([]string{"--arrivals"}, filter...)...)
			flood(t, l, 7000, matching, 4, false)
			flood(t, l, 7001, others, 4, false)
			eventually(t, "the flood has come", func() bool { return counters(t, l.host)["netdev"] == matching })
			answered := counters(t, l.host)["ip"]
			r.end(t)
			checkArrivalsRecord(t, r, matching, answered)
			if want := "1,204 matching packets arrived on eth0"; !strings.Contains(r.summary, want) {
				t.Errorf("the summary lacks %q:\n%s", want, r.summary)
			}
		})
	}
}

func checkArrivalsRecord(t *testing.T, r *tracing, arrived, answered uint64) {
	t.Helper()
	for line := range bytes.Lines(r.stdout.bytes()) {
		var a drop.Arrivals
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if a.Type != "arrivals" {
			continue
		}
		if a.Arrived != arrived || len(a.Interfaces) != 1 || a.Interfaces[0].Name != "eth0" || a.Undecided != 0 {
			t.Errorf("%d arrived: %s", arrived, line)
		}
		if a.Sent != answered || a.Sent == 0 {
			t.Errorf("%d answered: %s", answered, line)
		}
		return
	}
	t.Errorf("no arrivals record\n%s", r.summary)
}
