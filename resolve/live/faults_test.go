package live

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve"
)

func TestOwnFaultsAreReportedSomewhere(t *testing.T) {
	if got := faults(0); len(got) > 0 {
		t.Errorf("without a fault: %q", got)
	}
	got := faults(3)
	if len(got) != 1 || !strings.Contains(got[0], "3 of the drops") || !strings.Contains(got[0], resolve.Issues) {
		t.Errorf("%q", got)
	}
}
