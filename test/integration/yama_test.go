package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// Where Yama forbids to trace and CAP_SYS_RESOURCE is missing no program can be limited,
// and so none is run: doctor says that, and what to do. It cannot be undone: the file's
// name puts the test behind all others.
func TestGuestYamaForbidsTracing(t *testing.T) {
	nstest.OnlyInGuests(t)
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	if err := os.WriteFile("/proc/sys/kernel/yama/ptrace_scope", []byte("3"), 0); err != nil {
		t.Fatal(err)
	}
	const want = "CAP_SYS_RESOURCE, or kernel.yama.ptrace_scope below 3"
	for caps, says := range map[string]bool{"-sys_resource": true, "+sys_resource": false} {
		// Without it a kernel before 5.11 has doctor end with an error, too: memlock.
		out, _ := exec.Command("setpriv", "--inh-caps", caps, "--bounding-set", caps, droptrace, "doctor", "--wait", "0s").CombinedOutput()
		if strings.Contains(string(out), want) != says {
			t.Errorf("%s: said %v, want %v:\n%s", caps, !says, says, out)
		}
	}
}
