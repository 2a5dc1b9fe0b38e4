package output

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
)

func poolFailure() *drop.ConntrackFailure {
	tuple := func(source, destination string, sport, dport uint16) *drop.Tuple {
		return &drop.Tuple{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination),
			SourcePort: sport, DestinationPort: dport, Protocol: "udp"}
	}
	f := &drop.ConntrackFailure{
		Type: "conntrack_failure", Schema: 1, Time: sampleTime, Lost: true, Hook: "postrouting",
		Out: device(3, "eth1"), Netns: drop.Netns{Inode: 5, Name: "gate\x1b[2J"},
		Packet: drop.Packet{Family: "ip", Protocol: "udp", Source: netip.MustParseAddr("192.0.2.1"), SourcePort: ptr[uint16](5000),
			Destination: netip.MustParseAddr("198.51.100.2"), DestinationPort: ptr[uint16](53), PayloadLength: ptr(30)},
		Conntrack: &drop.Conntrack{State: "new", NAT: []string{"snat"},
			Original: tuple("10.0.0.9", "198.51.100.2", 1001, 53), Reply: tuple("198.51.100.2", "192.0.2.1", 53, 5000)},
		Failure: drop.Failure{Cause: drop.CauseNATPortCollision, Certainty: "certain",
			Other: &drop.ConntrackEntry{Original: tuple("10.0.0.8", "198.51.100.2", 1000, 53),
				Reply: tuple("198.51.100.2", "192.0.2.1", 53, 5000), NAT: []string{"snat"}}},
	}
	message, fix := conntrack.Explain(&f.Failure, f.Conntrack)
	f.Why = []drop.Why{{Code: conntrack.Code(&f.Failure), Message: message, Fix: fix}}
	return f
}

func TestFailureReadsAtAGlance(t *testing.T) {
	var b bytes.Buffer
	text := NewText(&b, Style{}, time.UTC)
	f := poolFailure()
	for range 2 {
		if err := text.Failure(f); err != nil {
			t.Fatal(err)
		}
	}
	f.Failure.Certainty, f.Repeats, f.Mixed = "probable", 41, true
	if err := text.Failure(f); err != nil {
		t.Fatal(err)
	}
	if err := text.Flush(); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"18:44:02.117835 IP 192.0.2.1.5000 > 198.51.100.2.53: UDP, length 30\n",
		"  lost    nat-port-collision · postrouting eth1 · netns gate\\x1b[2J\n",
		"  entry   udp 10.0.0.9.1001 > 198.51.100.2.53 · snat, reply 198.51.100.2.53 > 192.0.2.1.5000\n",
		"  there   udp 10.0.0.8.1000 > 198.51.100.2.53",
		"  lost    probably nat-port-collision",
		"… 41 more of other flows\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "  fix "); n != 1 {
		t.Errorf("the fix stands there %d times, want once:\n%s", n, got)
	}
}

func TestBoardShowsRatesAndStaysInsideTheTerminal(t *testing.T) {
	growth := 120
	b := Board{PerSecond: true, Heading: "tracing",
		Samples: []*drop.ConntrackSample{{
			Netns: drop.Netns{Name: "a\x1bname that is longer than its column"}, Milliseconds: 2000,
			Table: drop.ConntrackTable{Count: 950, Max: 1000, Growth: &growth},
			Total: drop.ConntrackCounts{Drop: 99999}, Delta: &drop.ConntrackCounts{Drop: 3000, EarlyDrop: 1},
			Fill: &drop.Fill{Entries: 950, States: []drop.FillState{{Protocol: "tcp", State: "SYN_SENT", Unreplied: true, Count: 900}},
				Sources: []drop.FillCount{{Key: "10.0.0.1", Count: 940}}},
		}},
		Tops: []BoardList{{Title: "causes", Rows: []BoardRow{{Key: "table-full", Count: 3000}}}, {Title: "empty"}},
	}
	b.Fills = b.Samples
	got := strings.Join(b.Lines(Style{Width: 200}), "\n")
	for _, want := range []string{"950 of 1,000  95%", "+120", "1,500", "<1", "3,000  table-full",
		"900  94%  tcp SYN_SENT, no reply, may be evicted", "940  98%  from 10.0.0.1"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") || strings.Contains(got, "empty") || strings.Contains(got, "99,999") {
		t.Errorf("what should not be there:\n%q", got)
	}
	for _, l := range b.Lines(Style{Width: 40}) {
		if width(l) >= 40 {
			t.Errorf("%d columns: %q", width(l), l)
		}
	}
	b.PerSecond = false
	if got := strings.Join(b.Lines(Style{}), "\n"); !strings.Contains(got, "99,999") {
		t.Errorf("no totals:\n%s", got)
	}
}

func TestScreenLeavesOutWhatItCouldNotReplace(t *testing.T) {
	var b bytes.Buffer
	s := NewScreen(&b)
	if err := s.Draw(strings.Split("abcdefghij", ""), 5); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n > 4 {
		t.Errorf("%d lines on 5 rows", n)
	}
	b.Reset()
	if err := s.Draw([]string{"x"}, 5); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "\x1b[4A") {
		t.Errorf("%q does not go back to the first line", b.String())
	}
}
