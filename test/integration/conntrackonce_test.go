package integration

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// TestConntrackOnceTellsWhoFillsTheTable holds it to conntrack -L and -S.
func TestConntrackOnceTellsWhoFillsTheTable(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	l := newLab(t)
	rules(t, l.host, "table ip f {\nchain forward { type filter hook forward priority 0; ct state new accept\n}\n}\n")
	rules(t, l.server, "table ip f {\nchain input { type filter hook input priority 0; drop\n}\n}\n")
	l.ready(t)
	manyFlows(t, l, 20000, 60, 9999)
	manyFlows(t, l, 30000, 20, 53)
	eventually(t, "all flows have their entries", func() bool {
		return strings.Count(command(t, "", "ip", "netns", "exec", l.host, "conntrack", "-L"), "src=192.0.2.2") >= 80
	})
	out := command(t, "", droptrace, "conntrack", "--once", "--top", "--json", "--interval", "100ms", "--netns", l.host)
	var s drop.ConntrackSample
	if err := json.Unmarshal(bytes.TrimSpace([]byte(out)), &s); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	listed := command(t, "", "ip", "netns", "exec", l.host, "conntrack", "-L")
	if n := uint64(strings.Count(listed, "\n")); s.Fill == nil || s.Fill.Entries != n || s.Table.Count != n {
		t.Fatalf("%s\nwant %d entries", out, n)
	}
	want := map[string]uint64{
		"udp 9999": uint64(strings.Count(listed, "dport=9999")),
		"udp 53":   uint64(strings.Count(listed, "dport=53 ")),
	}
	for _, d := range s.Fill.Destinations {
		if w, ok := want[d.Key]; ok && d.Count != w {
			t.Errorf("%s: %d entries, want %d", d.Key, d.Count, w)
		}
		delete(want, d.Key)
	}
	if len(want) != 0 {
		t.Errorf("not told: %v in %s", want, out)
	}
	if len(s.Fill.Sources) == 0 || s.Fill.Sources[0].Key != clientIP {
		t.Errorf("sources %v, want %s first", s.Fill.Sources, clientIP)
	}
	sums := conntrackSums(t, l.host)
	if s.Total.InsertFailed != uint64(sums["insert_failed"]) || s.Total.Drop != uint64(sums["drop"]) || s.Total.Found != uint64(sums["found"]) {
		t.Errorf("total %+v, the kernel says %v", s.Total, sums)
	}
	text := command(t, "", droptrace, "conntrack", "--once", "--top", "--interval", "100ms", "--netns", l.host)
	for _, want := range []string{"udp, no reply, may be evicted", "from " + clientIP, "to udp 9999"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
