package integration

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// addsUp holds what droptrace told against the kernel's counters: each cause
// moves those that it moves in nf_conntrack_core.c, by one, and nothing else does.
// Runs of its programs that the kernel skipped are told, and as many may lack.
func (f *failing) addsUp(t *testing.T, list []drop.ConntrackFailure, sums map[string]int) {
	t.Helper()
	causes, _ := counts(list)
	of := func(names ...drop.FailureCause) (n int) {
		for _, name := range names {
			n += causes[name]
		}
		return n
	}
	clashes := of(drop.CauseSameFlowRace, drop.CauseNATPortCollision, drop.CauseClash)
	want := map[string]int{
		"drop":          clashes + of(drop.CauseTableFull, drop.CauseNoMemory, drop.CauseTCPReopenRace),
		"insert_failed": clashes + of(drop.CauseChainTooLong, drop.CauseDying),
		"chaintoolong":  of(drop.CauseChainTooLong),
	}
	if f.probes { // what loses no packet is not seen without
		want["early_drop"] = of(drop.CauseEarlyDrop)
		want["clash_resolve"] = of(drop.CauseClashResolved)
	}
	missed := f.missed(t)
	for name, n := range want {
		if n > sums[name] || n < sums[name]-missed {
			t.Errorf("%s: the kernel counted %d, droptrace told %d and missed %d", name, sums[name], n, missed)
		}
	}
	if causes[drop.CauseUnknown] != 0 || t.Failed() {
		t.Errorf("causes %v, the kernel counted %v\n%s", causes, sums, showFailures(list))
	}
}

// missed is how many runs of its programs droptrace says the kernel skipped.
func (f *failing) missed(t *testing.T) int {
	t.Helper()
	words := regexp.MustCompile(`(\d+) nested runs? missed by the kernel`).FindSubmatch(f.stderr.bytes())
	if words == nil {
		return 0
	}
	n, err := strconv.Atoi(string(words[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestConntrackSumsAddUp: failures of several kinds at once, some in process
// context and some under softirqs, on every CPU. Afterwards the events are what
// the kernel counted, summed over CPUs.
func TestConntrackSumsAddUp(t *testing.T) {
	l := newLab(t)
	longWay(t, l.host, 500)
	rules(t, l.host, `table ip nat {
chain post { type nat hook postrouting priority 100; udp dport 9999 snat to 198.51.100.1:5000-5001
}
}
table ip f {
chain input { type filter hook input priority 0; ct state invalid counter drop
}
}
`)
	rules(t, l.server, "table ip f {\nchain input { type filter hook input priority 0; drop\n}\n}\n")
	l.ready(t)
	f := startConntrack(t, l.host, "--resolved")
	var sent uint16
	race(t, l.host, func(round uint16) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, to := address(serverIP, 0)
		err = unix.Sendto(fd, tcpHeader("198.51.100.1", serverIP, 1024+round%60000, 81, 0x02), 0, to)
		time.Sleep(time.Millisecond) // some thousand rounds fill a slow reader's buffer
		if err == unix.EPERM {
			return nil // it lost
		}
		return err
	}, func() bool {
		sent++
		udpFrom(t, l.client, 1000+sent, serverIP, 9999)             // two ports are not enough
		sendTCP(t, l.client, clientIP, hostIP, 1000+sent, 80, 0x03) // SYN and FIN
		sums := conntrackSums(t, l.host)
		return sent >= 20 && sums["drop"] >= int(sent)+5 // more than NAT's
	})
	sums := settled(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	meanwhile := fmt.Sprintf("meanwhile: insert_failed %d, drop %d, ", sums["insert_failed"], sums["drop"])
	if !bytes.Contains(f.stderr.bytes(), []byte(meanwhile)) {
		t.Errorf("no %q in\n%s", meanwhile, f.stderr.bytes())
	}
	causes, _ := counts(list)
	t.Logf("causes %v, kernel %v", causes, sums)
	// A kprobe is not called where a softirq interrupts the handler of another.
	missed := linux510() && causes[drop.CauseInvalid] < sums["invalid"]
	if causes[drop.CauseInvalid] != sums["invalid"] && !missed {
		t.Errorf("invalid: the kernel counted %d, droptrace told %d", sums["invalid"], causes[drop.CauseInvalid])
	}
	if causes[drop.CauseNATPortCollision] == 0 || causes[drop.CauseSameFlowRace] == 0 || causes[drop.CauseInvalid] == 0 {
		t.Errorf("not every kind came: %v", causes)
	}
}
