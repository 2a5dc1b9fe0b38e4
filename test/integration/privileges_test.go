package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// The capabilities that README names as enough, by number of uapi
// linux/capability.h: DAC_READ_SEARCH, KILL, SETGID, SETUID, NET_ADMIN, NET_RAW,
// SYS_PTRACE, SYS_ADMIN, SYSLOG, PERFMON, BPF.
const enough = 1<<2 | 1<<5 | 1<<6 | 1<<7 | 1<<12 | 1<<13 | 1<<19 | 1<<21 | 1<<34 | 1<<38 | 1<<39

// unprivileged starts a program as nobody with these capabilities and no way to
// more.
func unprivileged() []string {
	caps := "-all,+dac_read_search,+net_admin,+net_raw,+sys_ptrace,+sys_admin,+syslog,+perfmon,+bpf"
	if linux510() {
		caps += ",+sys_resource" // programs count as locked memory there
	}
	return []string{
		"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs",
		"--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", caps,
	}
}

func TestFewCapabilitiesAreEnough(t *testing.T) {
	// The build's folder may be closed to others.
	readable := filepath.Join(t.TempDir(), "droptrace")
	command(t, "", "cp", droptrace, readable)
	for dir := readable; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		command(t, "", "chmod", "a+rx", dir)
	}
	defer func(path string) { droptrace = path }(droptrace)
	droptrace = readable

	rules := map[string]ruleset{
		"nftables": {tool: "nft", text: `
table ip t {
	chain INPUT {
		type filter hook input priority 0; policy accept;
		udp dport 4001 counter drop comment "few"
	}
}`},
		"iptables-legacy": {tool: "iptables-legacy", text: `
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p udp --dport 4001 -m comment --comment few -j DROP
COMMIT
`},
	}
	for engine, s := range rules {
		t.Run(engine, func(t *testing.T) {
			l := newLab(t)
			s.load(t, l.host)
			trace := startBy(t, unprivileged(), []*lab{l})
			l.ready(t)
			packet{port: 4001}.send(t, l)
			kernel := counted(t, l, s, 1)
			drops := to(of(trace.stop(t), l.host), 4001)
			compare(t, trace, drops, kernel)
			if len(drops) != 1 || drops[0].Rule == nil || !strings.Contains(drops[0].Rule.Text, "few") {
				t.Errorf("want one drop with the rule's text:\n%s", show(drops))
			}
		})
	}
}

func TestPrivilegesAreDropped(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	trace := start(t, nil)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", trace.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // the thread has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			switch name {
			case "CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd":
				if bits, err := strconv.ParseUint(value, 16, 64); err != nil || bits&^enough != 0 {
					t.Errorf("%s: %s is %s, more than %x", path, name, value, uint64(enough))
				}
			case "NoNewPrivs":
				if value != "1" {
					t.Errorf("%s: programs may get privileges", path)
				}
			}
		}
	}
	trace.stop(t)
}
