package tracer

import (
	"testing"
	"time"

	"github.com/droptrace/droptrace/bpf"
	"github.com/droptrace/droptrace/tracer/event"
)

func TestRecalibrationWaitsLongerOnlyWhereItDoesNotHelp(t *testing.T) {
	var r recalibration
	for i, step := range []struct {
		helped bool
		want   time.Duration
	}{
		{false, recalibrateFirst}, {false, 2 * recalibrateFirst}, {false, 4 * recalibrateFirst},
		{true, recalibrateFirst}, {false, 2 * recalibrateFirst},
	} {
		r.end = func() {}
		if r.ended(1, step.helped); r.pause != step.want {
			t.Errorf("step %d: %v, want %v", i, r.pause, step.want)
		}
	}
}

// What was dropped before the last calibration ended says nothing against it.
func TestOnlyLaterDropsMakeACalibrationStale(t *testing.T) {
	const location = 0x1010
	tracer := &Tracer{sites: map[uint32][]uint64{siteNFT: {location}}}
	tracer.config.Sites[0] = bpf.KernelSiteRange{Start: 0x1000, End: 0x2000, Kind: siteNFT}
	tracer.again.done = 100
	for _, e := range []event.Event{
		{Time: 99, Location: location, Flags: event.Uncalibrated},
		{Time: 101, Location: location},
		{Time: 101, Location: location + 8, Flags: event.Uncalibrated}, // never calibrated
	} {
		if tracer.checkFrame(&e); tracer.again.stale {
			t.Fatalf("stale by %+v", e)
		}
	}
	if tracer.checkFrame(&event.Event{Time: 101, Location: location, Flags: event.Uncalibrated}); !tracer.again.stale {
		t.Error("a frame that moved is not noticed")
	}
}
