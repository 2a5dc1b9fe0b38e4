package nstest

import (
	"os"
	"testing"
)

// scripts/vm-test sets these: the guest's kernel ("6.12", "6.1:short"), and the plan
// of probes that droptrace is told to take.
const (
	guestVariable = "DROPTRACE_GUEST"
	planVariable  = "DROPTRACE_PROBES"
)

// OnlyInGuests skips the test outside of a guest of scripts/vm-test: it changes
// settings of the whole machine.
func OnlyInGuests(tb testing.TB) {
	tb.Helper()
	// The guests' own first program: a variable alone could be set anywhere.
	if _, err := os.Stat("/init"); err != nil || os.Getenv(guestVariable) == "" {
		tb.Skip("guest")
	}
}

// NotInGuests skips the test in the guests, and says why: most often that it reads
// rulesets or files, which is the same on every kernel and slow without KVM.
func NotInGuests(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv(guestVariable) != "" {
		tb.Skip(why)
	}
}

// NotOnKernel skips the test in the guests with a kernel, named as scripts/vm-test
// names it.
func NotOnKernel(tb testing.TB, kernel, why string) {
	tb.Helper()
	if os.Getenv(guestVariable) == kernel {
		tb.Skip(why)
	}
}

// NotWithPlan skips the test in the guests that are run with a plan of probes.
func NotWithPlan(tb testing.TB, plan, why string) {
	tb.Helper()
	if os.Getenv(guestVariable) != "" && os.Getenv(planVariable) == plan {
		tb.Skip(why)
	}
}
