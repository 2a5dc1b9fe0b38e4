// Package integration checks droptrace against the kernel's own counters: what
// it says of drops that the tests provoke must be what the rules counted.
package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var droptrace string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	defaultSignals()
	loadModules()
	droptrace = os.Getenv("DROPTRACE")
	if droptrace == "" {
		dir, err := os.MkdirTemp("", "droptrace-integration-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		droptrace = filepath.Join(dir, "droptrace")
		build := exec.Command("go", "build", "-o", droptrace, "github.com/droptrace/droptrace/cmd/droptrace")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build droptrace: %w\n%s", err, out)
		}
	}
	return m.Run(), nil
}

// loadModules comes before droptrace, which attaches to functions that are
// there. What a kernel has built in or lacks is told by the tests.
func loadModules() {
	modprobe, err := exec.LookPath("modprobe")
	if err != nil {
		return
	}
	if _, err := os.Stat("/proc/modules"); err != nil {
		return
	}
	for _, name := range []string{
		"veth", "nf_tables", "nft_counter", "nft_ct", "nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6",
		"nft_compat", "nft_chain_nat", "nf_tables_inet", "nft_fwd_netdev", "nfnetlink_queue", "nft_queue",
		"iptable_filter", "iptable_raw", "iptable_mangle", "ip6table_filter", "ipt_REJECT", "ip6t_REJECT",
		"nft_numgen", "nft_nat", "nft_masq", "xt_tcpudp", "xt_comment", "xt_NFQUEUE", "bridge", "nf_conntrack_netlink",
		"nft_synproxy", "ipt_SYNPROXY", "tun", "sch_tbf",
	} {
		_ = exec.Command(modprobe, "-q", name).Run()
	}
}

func plan() string {
	if p := os.Getenv("DROPTRACE_PROBES"); p != "" {
		return p
	}
	return "auto"
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		panic(err) // it has no way to fail
	}
	return unix.ByteSliceToString(u.Release[:])
}

func linux510() bool { return strings.HasPrefix(release(), "5.10") }

// command runs a program to its end and returns what it printed.
func command(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stderr.String(), stdin)
	}
	return stdout.String()
}

// eventually polls until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}
