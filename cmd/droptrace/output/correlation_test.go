package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/correlate"
	"github.com/droptrace/droptrace/resolve/drop"
)

// correlations has one result of every status.
func correlations() []*correlate.Result {
	d, other := ruleDrop(), ruleDrop()
	other.Rule = new(*d.Rule)
	other.Rule.Number = 9
	at := sampleTime.Add(-15 * time.Microsecond)
	return []*correlate.Result{
		{Status: correlate.Dropped, Time: at, Frame: 7, Packet: d.Packet, Drop: &correlate.Found{Number: 3, Drop: &d}, After: 15 * time.Microsecond},
		{Status: correlate.Dropped, Time: at, Frame: 8, Packet: d.Packet, Drop: &correlate.Found{Number: 4, Drop: &d}, After: 25 * time.Millisecond, Fragment: true},
		{Status: correlate.Ambiguous, Time: at, Frame: 9, Packet: d.Packet, More: true, Candidates: []correlate.Found{
			{Number: 5, Drop: &d}, {Number: 6, Drop: &d}, {Number: 7, Drop: &other},
		}},
		{Status: correlate.NotSeen, Time: sampleTime, Packet: d.Packet, Drop: &correlate.Found{Number: 8, Drop: &d}},
		{Status: correlate.NoDrop, Time: at, Frame: 10, Packet: d.Packet},
		{Status: correlate.Outside, Time: at, Frame: 11, Packet: d.Packet},
	}
}

func TestCorrelationText(t *testing.T) {
	var b bytes.Buffer
	c := NewCorrelation(&b, Style{ASCII: true}, time.UTC, false)
	for _, r := range correlations() {
		if err := c.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, " ") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		"drop    input eth0 | iptables-nft filter INPUT rule 7 (handle 12) | 15 us later | frame 7",
		"drop    input eth0 | iptables-nft filter INPUT rule 7 (handle 12) | 25.0 ms later | frame 8 | a fragment of what was dropped",
		"unsure  nothing tells which drop is this packet's, if any | frame 9",
		"2 candidates or more: input eth0 | iptables-nft filter INPUT rule 7 (handle 12)",
		"1 candidate or more: input eth0 | iptables-nft filter INPUT rule 9 (handle 12)",
		"drop    input eth0 | iptables-nft filter INPUT rule 7 (handle 12) | not in the capture",
		"passed  no drop was recorded for it | frame 10",
		"unknown nothing was recorded at that time | frame 11",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCorrelationsFollowTheSchema(t *testing.T) {
	root := parsedSchema(t)
	var b bytes.Buffer
	c := NewCorrelation(&b, Style{}, time.UTC, true)
	for _, r := range correlations() {
		if err := c.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if err := validate(root, map[string]any{"$ref": "#/$defs/correlation"}, v); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// A comment is one line that no terminal obeys.
func TestCommentIsOneHarmlessLine(t *testing.T) {
	for _, s := range samples() {
		d := s.drop
		d.Packet = drop.Packet{}
		if c := Comment(&d); c == "" || strings.ContainsAny(c, "\x00\n\x1b") {
			t.Errorf("%s: %q", s.name, c)
		}
	}
}
