package integration

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// namespaces are many for a machine; 5000 take a minute.
var namespaces = flag.Int("namespaces", 300, "how many network namespaces doctor looks at")

// select(2) knows no descriptor from 1,024 on, and a service manager may hand down
// thousands.
func TestDescriptorsPastThoseOfSelect(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	inherited := make([]*os.File, 4096)
	for i := range inherited {
		inherited[i] = null
	}
	l := newLab(t)
	ruleset{"nft", "table ip a {\nchain in { type filter hook input priority 0; policy accept;\nudp dport 1401 counter drop\n}\n}"}.load(t, l.host)
	trace := startWith(t, func(c *exec.Cmd) { c.ExtraFiles = inherited }, nil, []*lab{l})
	l.ready(t)
	packet{port: 1401}.send(t, l)
	eventually(t, "the drop is told", func() bool { return len(to(trace.told(t), 1401)) == 1 })
	d := to(trace.stop(t), 1401)[0]
	if d.Attribution.Certainty != drop.Certain && !trace.mayNotKnow() {
		t.Errorf("the rule is not certain:\n%s", show([]drop.Drop{d}))
	}

	doctor := exec.Command(droptrace, "doctor", "--json", "--wait", "0", "--netns", l.host)
	doctor.ExtraFiles = inherited
	if out, err := doctor.Output(); err != nil {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}

// Each namespace is opened when it is looked at, and closed again.
func TestDoctorNeedsFewDescriptorsForManyNamespaces(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	nstest.SkipUnprivileged(t)
	prefix := fmt.Sprintf("dt%08x-", rand.Uint32())
	var add, del strings.Builder
	for i := range *namespaces {
		fmt.Fprintf(&add, "netns add %s%d\n", prefix, i)
		fmt.Fprintf(&del, "netns del %s%d\n", prefix, i)
	}
	t.Cleanup(func() { command(t, del.String(), "ip", "-force", "-batch", "-") })
	command(t, add.String(), "ip", "-batch", "-")

	doctor := exec.Command("sh", "-c", `ulimit -n 64; exec "$@"`, "sh", droptrace, "doctor", "--all-netns", "--json", "--wait", "0")
	out, err := doctor.Output()
	var e struct {
		NotLookedAt []string `json:"not_looked_at"`
		Firewalls   []struct{ Netns drop.Netns }
	}
	if jsonErr := json.Unmarshal(out, &e); jsonErr != nil {
		t.Fatalf("doctor: %v, %v in %q", err, jsonErr, out)
	}
	seen := 0
	for _, f := range e.Firewalls {
		if strings.HasPrefix(f.Netns.Name, prefix) {
			seen++
		}
	}
	if seen != *namespaces {
		t.Errorf("%d of %d namespaces were looked at", seen, *namespaces)
	}
	for _, missed := range e.NotLookedAt {
		if strings.Contains(missed, prefix) || strings.Contains(missed, "too many open files") {
			t.Errorf("not looked at: %s", missed)
		}
	}
}
