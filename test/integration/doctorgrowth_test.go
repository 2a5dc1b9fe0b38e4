package integration

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/droptrace/droptrace/test/nstest"
)

// TestDoctorSeesCountersGrow has packets dropped between the two looks.
func TestDoctorSeesCountersGrow(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const tables = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
		"-A INPUT -p udp -m udp --dport 2311 -j DROP\nCOMMIT\n"
	for name, set := range map[string]ruleset{
		"iptables-nft":    {"iptables-nft", tables},
		"iptables-legacy": legacy(tables)[0],
		"nftables": nft("table inet f {\nchain in { type filter hook input priority 0; policy accept;\n" +
			"udp dport 2311 counter drop\n}\n}")[0],
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ready(t)
			set.load(t, l.host)
			stop := make(chan struct{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
						_ = sendOne(l.client)
					}
				}
			}()
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			out, err := exec.CommandContext(ctx, droptrace, "doctor", "--netns", l.host, "--json", "--wait", "2s").Output()
			close(stop)
			<-done
			if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 3) {
				t.Fatal(err)
			}
			var e struct{ Findings []finding }
			if err := json.Unmarshal(out, &e); err != nil {
				t.Fatalf("doctor: %v in %q", err, out)
			}
			if !slices.ContainsFunc(e.Findings, func(f finding) bool { return f.Code == "drop-counter-grows" }) {
				t.Errorf("growth is not seen: %+v", e.Findings)
			}
		})
	}
}

// sendOne sends one packet from a namespace.
func sendOne(ns string) error {
	return nstest.Within(ns, packet{port: 2311}.transmit)
}
