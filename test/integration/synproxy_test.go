package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
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

var synproxies = []ruleset{
	{"nft", `table ip filter {
	chain input {
		type filter hook input priority 0; policy accept;
		udp dport 8079 counter drop
		tcp dport 8080 counter synproxy mss 1460 wscale 7 timestamp sack-perm
	}
}`},
	{"iptables-nft", xtSynproxy},
	{"iptables-legacy", xtSynproxy},
}

const xtSynproxy = `*filter
:INPUT ACCEPT [0:0]
-A INPUT -p udp --dport 8079 -j DROP
-A INPUT -p tcp --dport 8080 -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
COMMIT
`

// TestSynproxy: an ACK with a wrong cookie is a drop by the rule that has synproxy
// in it, and a SYN is none: the kernel answers it and never calls it dropped.
func TestSynproxy(t *testing.T) {
	labs := make([]*lab, len(synproxies))
	for i, s := range synproxies {
		labs[i] = newLab(t)
		s.load(t, labs[i].host)
		labs[i].ready(t)
	}
	t.Run("quiet", func(t *testing.T) { checkSynproxies(t, labs, 0) })
	t.Run("all", func(t *testing.T) { checkSynproxies(t, labs, 4, "--all") })
}

func checkSynproxies(t *testing.T, labs []*lab, acks int, args ...string) {
	t.Helper()
	const syns = 5
	type counts struct{ taken, wrong int }
	before := make([]counts, len(labs))
	for i, l := range labs {
		before[i].taken, before[i].wrong = synproxyCounters(t, l.host)
	}
	r := start(t, labs, append([]string{"--port", "8080", "--src", clientIP}, args...)...)
	for _, l := range labs {
		for i := range uint16(syns) {
			sendTCP(t, l.client, clientIP, hostIP, 20000+i, 8080, 2)
		}
		for i := range uint16(acks) {
			sendTCP(t, l.client, clientIP, hostIP, 21000+i, 8080, 16)
		}
	}
	kernel := make([]counts, len(labs))
	for i, l := range labs {
		eventually(t, "synproxy has had them", func() bool {
			s, w := synproxyCounters(t, l.host)
			kernel[i] = counts{s - before[i].taken, w - before[i].wrong}
			return kernel[i].taken >= syns && kernel[i].wrong >= acks
		})
	}
	drops := r.stop(t)
	for i, l := range labs {
		stolen, dropped := synproxied(t, of(drops, l.host))
		t.Logf("%s: taken %d told %d, wrong %d told %d", synproxies[i].tool, kernel[i].taken, stolen, kernel[i].wrong, dropped)
		if dropped != kernel[i].wrong {
			t.Errorf("%s: %d drops told, %d ACKs had a wrong cookie\n%s", synproxies[i].tool, dropped, kernel[i].wrong, show(drops))
		}
		if len(args) > 0 && r.plan != "tracepoint" && stolen != kernel[i].taken || len(args) == 0 && stolen != 0 {
			t.Errorf("%s: %d SYNs told as stolen, synproxy took %d\n%s", synproxies[i].tool, stolen, kernel[i].taken, show(drops))
		}
		if want := fmt.Sprintf("synproxy answered %d SYNs in netns %s", kernel[i].taken, l.host); len(args) == 0 && !strings.Contains(r.summary, want) {
			t.Errorf("the summary lacks %q:\n%s", want, r.summary)
		}
	}
}

// synproxied counts what was told of a namespace whose second rule has synproxy.
func synproxied(t *testing.T, drops []drop.Drop) (stolen, dropped int) {
	t.Helper()
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
		if d.Attribution.Certainty == drop.Certain && (d.Rule == nil || d.Rule.Number > 2 || d.Rule.Number == 1 ||
			!strings.Contains(strings.ToLower(d.Rule.Text), "synproxy")) {
			t.Errorf("not by the rule: %s", show([]drop.Drop{d}))
		}
	}
	return stolen, dropped
}
