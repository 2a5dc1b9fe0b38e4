package conntrack

import (
	"errors"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/tracer/event"
)

// clashOf tells by tuples. Of one flow the original ones are equal; where only
// the reply tuples are, NAT gave two flows the same port.
func clashOf(loser, winner *event.CTInfo) drop.FailureCause {
	l, w := bare(loser.Original), bare(winner.Original)
	r := bare(loser.Reply)
	switch {
	case loser.Present != event.CTEntry || winner.Present != event.CTEntry:
		return drop.CauseClash
	case l == w:
		return drop.CauseSameFlowRace
	case r == bare(winner.Reply), r == w:
		return drop.CauseNATPortCollision
	}
	return drop.CauseClash
}

// bare is a tuple without the direction that it was entered under.
func bare(t event.CTTuple) event.CTTuple {
	t.Dir = 0
	return t
}

// FindOther looks for the entry that was there first, where only counters told
// that there was one. Of a clash it then says which kind it was.
func FindOther(f *drop.Failure, loser *event.CTInfo, lookup func(*table.Tuple, uint16) (*table.Entry, error)) {
	if f.Cause != drop.CauseClash || f.Other != nil || loser.Present != event.CTEntry {
		return
	}
	// The reply first: where NAT has no port left many losers share it.
	e, err := lookup(tableTuple(&loser.Reply), loser.Zone)
	if err == nil {
		f.Cause, f.Other = drop.CauseNATPortCollision, entryOfTable(e)
		if e.Original == *tableTuple(&loser.Original) {
			f.Cause = drop.CauseSameFlowRace
		}
		return
	}
	if !errors.Is(err, table.ErrNoEntry) {
		return
	}
	e, err = lookup(tableTuple(&loser.Original), loser.Zone)
	switch {
	case err == nil:
		f.Cause, f.Other = drop.CauseSameFlowRace, entryOfTable(e)
	case errors.Is(err, table.ErrNoEntry) && len(nat(loser)) == 0:
		// Gone again. Its reply tuple is its original one turned round: who had
		// the one had the other, or was translated to it, which is rare.
		f.Cause = drop.CauseSameFlowRace
	}
}
