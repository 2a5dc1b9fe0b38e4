package output

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

func TestSummary(t *testing.T) {
	var mixed, many Tally
	add := func(t *Tally, d drop.Drop, n int) {
		for range n {
			t.Add(&d)
		}
	}
	list := samples()
	add(&mixed, list[0].drop, 71) // a rule
	add(&mixed, list[2].drop, 16) // a rejecting rule in a user chain
	add(&mixed, list[12].drop, 2) // NO_SOCKET
	add(&mixed, list[18].drop, 1) // the rule again
	add(&mixed, list[9].drop, 1)  // in another namespace
	add(&mixed, list[19].drop, 1) // with 1,204 repeats
	for i := range 25 {
		add(&many, *dropOf(i, 0, sampleTime), 25-i)
	}
	many.Lose(dropOf(3, 0, sampleTime), 4000)
	own := drop.Netns{Inode: 4026531840, Own: true}
	var b bytes.Buffer
	for _, s := range []Style{{Width: 80}, {Width: 40, ASCII: true}} {
		for i, m := range []Summary{
			{Counts: drop.Counts{Seen: 1204, FilteredKernel: 1117, Delivered: 87}, Shown: 87, Elapsed: 41 * time.Second, Tally: &mixed},
			{
				Counts: drop.Counts{Seen: 1234567, FilteredKernel: 1000000, Lost: 4567, Delivered: 230000, FilteredUser: 1000,
					Members: 12, NotLost: 1, MissedNested: 3},
				Lost:  drop.Lost{Places: []drop.LostPlace{{Count: 4000}}, Unasked: 60, NotLost: 6},
				Shown: 200, Folded: 228000, Unshown: 800, Elapsed: 725 * time.Second, Tally: &many,
			},
			{Counts: drop.Counts{Seen: 5, FilteredKernel: 5}, Elapsed: 90 * time.Minute, Tally: &Tally{},
				Hidden: []string{"eth0 has an XDP program (xdp_filter)", "flowtable ft in inet filter: forwarded packets pass by the hooks"}},
			{Elapsed: 400 * time.Millisecond, Tally: &Tally{}},
			{Elapsed: time.Second, Tally: &Tally{}, Arrivals: &drop.Arrivals{Arrived: 1204, Interfaces: []drop.ArrivalPlace{{Netns: own, Index: 2, Name: "eth0", Arrived: 1204}}}},
			{Elapsed: time.Second, Tally: &Tally{}, Beside: []string{"synproxy answered 5 SYNs"}, Arrivals: &drop.Arrivals{
				Arrived: 1204, Sent: 7, Undecided: 1, LeftOut: []string{"--hook", "--netfilter"}, Interfaces: []drop.ArrivalPlace{
					{Netns: own, Index: 2, Name: "eth0", Arrived: 1200, Sent: 7},
					{Netns: drop.Netns{Inode: 1, Name: "web"}, Index: 3, Name: "eth\x1b0", Arrived: 3}, {Arrived: 1},
				},
			}},
			{Elapsed: time.Second, Tally: &Tally{}, Arrivals: &drop.Arrivals{}},
		} {
			fmt.Fprintf(&b, "# %d at %d\n", i, s.Width)
			if err := m.Write(&b, s); err != nil {
				t.Fatal(err)
			}
		}
		WriteHeading(&b, s, []string{"tracing drops", "port 80", "Linux 6.12, fentry", "Ctrl-C ends"})
	}
	golden(t, "summary.txt", b.Bytes())
}

func TestTallyIsBoundedAndExact(t *testing.T) {
	var tally Tally
	for i := range 3 * maxTally {
		d := dropOf(i, 0, sampleTime)
		d.Reason = fmt.Sprint(i)
		d.Repeats = 1
		tally.Add(d)
	}
	if len(tally.places) > maxTally || len(tally.reasons) > maxTally {
		t.Errorf("%d rules, %d reasons", len(tally.places), len(tally.reasons))
	}
	for _, list := range [][]total{tally.byPlace(Style{}), tally.byReason(Style{})} {
		var sum uint64
		for _, l := range list {
			sum += l.count
		}
		if sum != 6*maxTally {
			t.Errorf("the lines add up to %d, want %d", sum, 6*maxTally)
		}
	}
}

// A reason that means two things is told in words where it was met, not in sum.
func TestReasonsInWords(t *testing.T) {
	var tally Tally
	add := func(location string) string {
		tally.Add(&drop.Drop{Cause: "kernel", Reason: "NO_SOCKET", Location: location})
		list := tally.byReason(Style{})
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		return list[0].text
	}
	if got := add("cookie_v4_check+0x4e5"); !strings.Contains(got, "SYN cookie") {
		t.Errorf("%q", got)
	}
	if got := add("tcp_v4_rcv+0x91"); got != "" {
		t.Errorf("%q, of two", got)
	}
}

func TestStatusIsErasedBeforeOutput(t *testing.T) {
	var b bytes.Buffer
	s := NewStatus(&b, Style{Width: 30})
	s.Erase()                                    // nothing there yet
	s.Show(12500*time.Millisecond, 3401, 2, nil) // too long for one line
	s.Erase()
	s.Erase()
	if got, want := b.String(), clearLine+"12 s · 3,401 packets"+clearLine; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var none *Status
	none.Show(0, 0, 0, nil)
	none.Erase()
	none.SetWidth(1)
	none.End()
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", -time.Second: "0 s", 400 * time.Millisecond: "0.4 s", time.Second: "1 s",
		1499 * time.Millisecond: "1.5 s", 9999 * time.Millisecond: "10 s", 41 * time.Second: "41 s",
		59900 * time.Millisecond: "1 min 0 s", 125 * time.Second: "2 min 5 s", 2*time.Hour + 90*time.Second: "2 h 2 min",
	} {
		if got := seconds(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
