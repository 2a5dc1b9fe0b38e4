package real

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// seesDrop runs droptrace, by a command line of its own, against a namespace where a
// rule drops, and holds what it says against the rule and its counter. before are the
// words in front of each program: nothing, or a chroot.
func seesDrop(t *testing.T, before []string, droptrace string) {
	t.Helper()
	ns := namespace(t)
	with := func(args ...string) []string { return append(append([]string{}, before...), args...) }
	inside := append([]string{"nsenter", "--net=/run/netns/" + ns}, before...)
	nft := exec.Command(inside[0], append(inside[1:], "nft", "-f", "-")...)
	nft.Stdin = strings.NewReader("table inet shop {\n chain in {\n type filter hook input priority 0\n udp dport 4242 counter drop\n }\n}\n")
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	info, err := os.Stat("/run/netns/" + ns)
	if err != nil {
		t.Fatal(err)
	}
	inode := strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 10)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	argv := with(droptrace, "--netns", "inode:"+inode, "--port", "4242", "--json", "-c", "1")
	trace := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	trace.Stdout, trace.Stderr = &stdout, &stderr
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- trace.Wait() }()
	for done := false; !done; {
		send(t, ns)
		select {
		case err = <-ended:
			done = true
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil {
		t.Fatalf("%q: %v\n%s%s", argv, err, stdout.String(), stderr.String())
	}
	var d struct {
		Rule        struct{ Table, Chain, Text string }
		Attribution struct{ Certainty string }
	}
	first, _, _ := bytes.Cut(stdout.Bytes(), []byte("\n"))
	if err := json.Unmarshal(first, &d); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	if d.Rule.Table != "shop" || d.Rule.Chain != "in" || d.Rule.Text != "udp dport 4242 counter drop" || d.Attribution.Certainty != "certain" {
		t.Errorf("got %+v\n%s%s", d, stdout.String(), stderr.String())
	}
	listed := command(t, "ip", "netns", "exec", ns, "nft", "list", "ruleset")
	if strings.Contains(listed, "packets 0") || !strings.Contains(listed, "counter packets") {
		t.Errorf("the rule counted nothing:\n%s", listed)
	}
}

// send sends a packet inside the namespace that its rule drops.
func send(t *testing.T, ns string) {
	t.Helper()
	command(t, "ip", "netns", "exec", ns, "bash", "-c", "echo x >/dev/udp/127.0.0.1/4242")
}
