package tracer

import (
	"slices"
	"testing"
)

// A calibration that fails is done again and again, for the same reason.
func TestCalibrationsSayEachThingOnce(t *testing.T) {
	var tr Tracer
	for range 3 {
		tr.learn(calibrated{notices: []string{"rules of nftables may stay unknown: 100% lost"}})
	}
	if want := []string{"rules of nftables may stay unknown: 100% lost"}; !slices.Equal(tr.notices, want) {
		t.Errorf("got %q, want %q", tr.notices, want)
	}
}
