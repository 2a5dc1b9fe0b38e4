package live

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve"
)

// faults says what is amiss with droptrace itself and should be reported.
func (t *Trace) faults() []string {
	if t.resolver == nil {
		return nil
	}
	return faults(t.resolver.Contradicted())
}

func faults(contradicted uint64) []string {
	if contradicted == 0 {
		return nil
	}
	return []string{fmt.Sprintf("a fault of droptrace: for %d of the drops it found a rule that their packet does not match, and did not show it; please report this at %s",
		contradicted, resolve.Issues)}
}
