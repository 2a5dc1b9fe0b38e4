package conntrack

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

// TestFailureFoldCountsEveryFailureOnce floods it with more flows than it keeps
// apart.
func TestFailureFoldCountsEveryFailureOnce(t *testing.T) {
	const total = 50_000
	q := newFailureFold()
	want := make(map[drop.FailureCause]uint64)
	for i := range total {
		cause := drop.CauseTableFull
		if i%3 == 0 {
			cause = drop.CauseClash
		}
		sport := uint16(i)
		f := &drop.ConntrackFailure{Failure: drop.Failure{Cause: cause}, Lost: true}
		f.Packet.SourcePort = &sport
		q.put(f)
		want[cause]++
	}
	q.close()
	list, last := q.take()
	if !last {
		t.Error("the end was not told")
	}
	if most := failureQueue + failureKeys + 2; len(list) > most {
		t.Errorf("%d records kept, want at most %d", len(list), most)
	}
	got := make(map[drop.FailureCause]uint64)
	for _, f := range list {
		got[f.Failure.Cause] += 1 + f.Repeats
		if f.Repeats > 0 && !f.Mixed && f.Packet.SourcePort == nil {
			t.Error("repeats of a flow without a flow")
		}
	}
	for cause, n := range want {
		if got[cause] != n {
			t.Errorf("%s: %d told, %d came", cause, got[cause], n)
		}
	}
	if list, _ := q.take(); len(list) != 0 {
		t.Errorf("%d told twice", len(list))
	}
}
