package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve"
)

// synproxyCounters sums a namespace's counters over CPUs.
func synproxyCounters(t *testing.T, ns string) (syns, invalid int) {
	t.Helper()
	within(t, ns, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/stat/synproxy")
		if err != nil {
			return err
		}
		for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
			f := strings.Fields(line)
			s, _ := strconv.ParseInt(f[1], 16, 64)
			i, _ := strconv.ParseInt(f[2], 16, 64)
			syns, invalid = syns+int(s), invalid+int(i)
		}
		return nil
	})
	return syns, invalid
}

// TestSynproxy: an ACK with a wrong cookie is a drop by the rule that has synproxy
// in it, and a SYN is none: the kernel answers it and never calls it dropped.
func TestSynproxy(t *testing.T) {
	const syns, acks = 5, 4
	for _, tt := range []struct {
		ruleset
		text string
	}{
		{ruleset{"nft", `table ip filter {
	chain input {
		type filter hook input priority 0; policy accept;
		udp dport 8079 counter drop
		tcp dport 8080 counter synproxy mss 1460 wscale 7 timestamp sack-perm
	}
}`}, "synproxy"},
		{ruleset{"iptables-nft", `*filter
:INPUT ACCEPT [0:0]
-A INPUT -p udp --dport 8079 -j DROP
-A INPUT -p tcp --dport 8080 -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
COMMIT
`}, "SYNPROXY"},
		{ruleset{"iptables-legacy", `*filter
:INPUT ACCEPT [0:0]
-A INPUT -p udp --dport 8079 -j DROP
-A INPUT -p tcp --dport 8080 -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
COMMIT
`}, "SYNPROXY"},
	} {
		t.Run(tt.tool, func(t *testing.T) {
			l := newLab(t)
			tt.load(t, l.host)
			l.ready(t)
			for _, all := range []bool{false, true} {
				syns0, invalid0 := synproxyCounters(t, l.host)
				args := []string{"--port", "8080", "--src", clientIP}
				if all {
					args = append(args, "--all")
				}
				r := start(t, []*lab{l}, args...)
				for i := range uint16(syns) {
					sendTCP(t, l.client, clientIP, hostIP, 20000+i, 8080, 2)
				}
				if all {
					for i := range uint16(acks) {
						sendTCP(t, l.client, clientIP, hostIP, 21000+i, 8080, 16)
					}
				}
				var taken, wrong int
				eventually(t, "synproxy has had them", func() bool {
					s, w := synproxyCounters(t, l.host)
					taken, wrong = s-syns0, w-invalid0
					return taken >= syns && (!all || wrong >= acks)
				})
				drops := r.stop(t)
				checkSynproxy(t, r, drops, all, taken, wrong, tt.text)
			}
		})
	}
}

func checkSynproxy(t *testing.T, r *tracing, drops []resolve.Drop, all bool, taken, wrong int, text string) {
	t.Helper()
	stolen, dropped := 0, 0
	for _, d := range drops {
		if d.Cause == "kernel" || len(d.Packet.TCPFlags) == 1 && d.Packet.TCPFlags[0] == "rst" {
			continue // the client's kernel knows of no connection
		}
		switch d.Verdict {
		case "stolen":
			stolen++
		case "drop":
			dropped++
		}
		if d.Attribution.Certainty == resolve.Certain && (d.Rule == nil || d.Rule.Number != 2 || !strings.Contains(d.Rule.Text, text)) {
			t.Errorf("not by the rule: %s", show([]resolve.Drop{d}))
		}
	}
	t.Logf("taken %d told %d, wrong %d told %d", taken, stolen, wrong, dropped)
	if dropped != wrong {
		t.Errorf("%d drops told, %d ACKs had a wrong cookie\n%s", dropped, wrong, show(drops))
	}
	if all && r.plan != "tracepoint" && stolen != taken || !all && stolen != 0 {
		t.Errorf("%d SYNs told as stolen, synproxy took %d\n%s", stolen, taken, show(drops))
	}
	if want := fmt.Sprintf("synproxy answered %d SYNs", taken); !all && !strings.Contains(r.summary, want) {
		t.Errorf("the summary lacks %q:\n%s", want, r.summary)
	}
}
