package calibrate

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
	"golang.org/x/sys/unix"
)

// descriptors uses up those below n.
func descriptors(t *testing.T, n int) {
	t.Helper()
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if fd >= n {
			return
		}
	}
}

// nft shows what the kernel has made of the rules, past the descriptors that
// select(2) can name.
func TestTheRulesAreThoseThatWereMeant(t *testing.T) {
	nstest.SkipUnprivileged(t)
	descriptors(t, 4096)
	n, err := NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	d := Dropper{Namespace: n}
	if err := d.LoadRules(); err != nil {
		t.Fatal(err)
	}
	var listing string
	err = n.Do(func() error {
		out, err := exec.Command("nft", "-a", "-n", "list", "table", "ip", tableName).CombinedOutput()
		listing = string(out)
		return err
	})
	if err != nil {
		t.Fatalf("%v: %s", err, listing)
	}
	for _, base := range []uint16{1000, 2000} {
		for _, port := range []uint16{1, 2, 3, 6, 8, 100, 101, 102, 103} {
			want := d.expects[base+port]
			rule := regexp.MustCompile(`udp dport (\d+) (drop|reject)[^\n]*# handle (\d+)`)
			found := slices.ContainsFunc(rule.FindAllStringSubmatch(listing, -1), func(m []string) bool {
				return m[1] == text(base+port) && m[3] == text(want.Handle)
			})
			if !found || want.Handle == 0 {
				t.Errorf("port %d: no rule with handle %d", base+port, want.Handle)
			}
		}
		if d.expects[base+4].Handle != 0 || d.expects[base+5].Handle != 0 || d.expects[base+7].Handle == 0 {
			t.Errorf("a policy is expected to be a rule, or a map a policy: %+v", d.expects)
		}
	}
	if n := strings.Count(listing, "policy drop"); n != 2 {
		t.Errorf("%d policies drop, want 2", n)
	}
	if t.Failed() {
		t.Log(listing)
	}
}

func text[N uint16 | uint64](n N) string { return strconv.FormatUint(uint64(n), 10) }
