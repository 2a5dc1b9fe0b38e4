package conntrack

import (
	"encoding/json"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/google/go-cmp/cmp"
)

func v4(a, b, c, d byte) [16]byte { return [16]byte{a, b, c, d} }

func port(n uint16) [2]byte { return [2]byte{byte(n >> 8), byte(n)} }

// tcpEntry is 203.0.113.9:51234 > 10.0.0.2:80 and its reply, with no NAT.
func tcpEntry() event.CTInfo {
	client, server := v4(203, 0, 113, 9), v4(10, 0, 0, 2)
	return event.CTInfo{
		Present:  event.CTEntry,
		CTInfo:   ctEstablished,
		TCPState: 3,
		Status:   1<<1 | 1<<2 | netfilter.StatusConfirmed,
		Original: event.CTTuple{Src: client, SrcPort: port(51234), L3Num: netfilter.IPv4, Dst: server, DstPort: port(80), Proto: protoTCP},
		Reply:    event.CTTuple{Src: server, SrcPort: port(80), L3Num: netfilter.IPv4, Dst: client, DstPort: port(51234), Proto: protoTCP, Dir: 1},
	}
}

func TestStateAndDirection(t *testing.T) {
	tests := []struct {
		info       uint8
		state, dir string
	}{
		{0, "established", "original"},
		{1, "related", "original"},
		{2, "new", "original"},
		{3, "established", "reply"},
		{4, "related", "reply"},
	}
	for _, tt := range tests {
		info := tcpEntry()
		info.CTInfo = tt.info
		s := Of(&info, Context{})
		if s == nil || s.State != tt.state || s.Dir != tt.dir {
			t.Errorf("ctinfo %d: %+v, want %s %s", tt.info, s, tt.state, tt.dir)
		}
	}
	for _, impossible := range []uint8{5, 6, 7, 255} {
		info := tcpEntry()
		info.CTInfo = impossible
		if s := Of(&info, Context{Seen: true}); s != nil {
			t.Errorf("ctinfo %d: %+v, want nothing", impossible, s)
		}
	}
}

func TestNoEntry(t *testing.T) {
	tests := []struct {
		name    string
		present event.CTPresence
		seen    bool
		want    string
	}{
		{"NOTRACK", event.CTUntracked, false, "untracked"},
		{"NOTRACK, seen", event.CTUntracked, true, "untracked"},
		{"not seen yet", event.CTAbsent, false, ""},
		{"seen and without an entry", event.CTAbsent, true, "invalid"},
	}
	for _, tt := range tests {
		s := Of(&event.CTInfo{Present: tt.present}, Context{Seen: tt.seen, HZ: 250})
		switch {
		case s == nil && tt.want != "":
			t.Errorf("%s: nothing, want %s", tt.name, tt.want)
		case s != nil && tt.want == "":
			t.Errorf("%s: %+v, want nothing", tt.name, s)
		case s != nil:
			if diff := cmp.Diff(&drop.Conntrack{State: tt.want}, s); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

func TestEntryAsJSON(t *testing.T) {
	info := tcpEntry()
	info.Zone, info.Mark = 5, 0x2a
	info.Jiffies = 0xffffff00
	info.Timeout = info.Jiffies + 431999*250 // wraps
	got, err := json.Marshal(Of(&info, Context{HZ: 250}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"state":"established","dir":"original","status":["seen_reply","assured","confirmed"],` +
		`"original":{"source":"203.0.113.9","source_port":51234,"destination":"10.0.0.2","destination_port":80,"protocol":"tcp"},` +
		`"reply":{"source":"10.0.0.2","source_port":80,"destination":"203.0.113.9","destination_port":51234,"protocol":"tcp"},` +
		`"zone":5,"mark":42,"tcp_state":"ESTABLISHED","timeout":431999}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTimeout(t *testing.T) {
	tests := []struct {
		name             string
		timeout, jiffies uint32
		hz               int
		status           uint32
		want             int // -1: absent
	}{
		{"left", 1000 + 30*250, 1000, 250, netfilter.StatusConfirmed, 30},
		{"a part of a second", 1000 + 249, 1000, 250, netfilter.StatusConfirmed, 0},
		{"just run out", 1000, 1000, 250, netfilter.StatusConfirmed, 0},
		{"run out long ago", 1000, 5000, 250, netfilter.StatusConfirmed, 0},
		{"across the wrap", 500, 0xfffffff0, 100, netfilter.StatusConfirmed, 5},
		{"HZ unknown", 1000, 0, 0, netfilter.StatusConfirmed, -1},
		{"HZ absurd", 1000, 0, -1, netfilter.StatusConfirmed, -1},
		{"not confirmed: does not run yet", 1000, 0, 250, 0, -1},
	}
	for _, tt := range tests {
		info := tcpEntry()
		info.Timeout, info.Jiffies, info.Status = tt.timeout, tt.jiffies, tt.status
		got := -1
		if s := Of(&info, Context{HZ: tt.hz}); s.Timeout != nil {
			got = *s.Timeout
		}
		if got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestTCPStateOnlyOfTCP(t *testing.T) {
	info := tcpEntry()
	info.Original.Proto = protoUDP
	if s := Of(&info, Context{}); s.TCPState != "" {
		t.Errorf("UDP has TCP state %s", s.TCPState)
	}
	for state, want := range map[uint8]string{0: "NONE", 1: "SYN_SENT", 2: "SYN_RECV", 3: "ESTABLISHED",
		4: "FIN_WAIT", 5: "CLOSE_WAIT", 6: "LAST_ACK", 7: "TIME_WAIT", 8: "CLOSE", 9: "SYN_SENT2", 10: "10"} {
		if got := netfilter.TCPState(state); got != want {
			t.Errorf("TCPState(%d) = %s, want %s", state, got, want)
		}
	}
}

func TestPassed(t *testing.T) {
	const (
		inet, ipv4, arp, netdev, bridge, ipv6                   = 1, 2, 3, 5, 7, 10
		prerouting, input, forward, output, postrouting, noHook = 0, 1, 2, 3, 4, event.NoHook
	)
	tests := []struct {
		pf, hook uint8
		want     bool
	}{
		{ipv4, input, true}, {ipv4, forward, true}, {ipv4, postrouting, true},
		{ipv6, input, true}, {inet, forward, true},
		{ipv4, prerouting, false}, {ipv4, output, false}, {ipv6, output, false},
		{arp, input, false}, {netdev, input, false}, {bridge, forward, false}, {ipv4, noHook, false},
	}
	for _, tt := range tests {
		if got := Passed(tt.pf, tt.hook); got != tt.want {
			t.Errorf("Passed(%d, %d) = %v", tt.pf, tt.hook, got)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	info := tcpEntry()
	b.ReportAllocs()
	for b.Loop() {
		Of(&info, Context{HZ: 250})
	}
}
