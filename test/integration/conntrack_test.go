package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// failing is a droptrace conntrack that runs.
type failing struct {
	cmd    *exec.Cmd
	stdout buffer
	stderr buffer
	probes bool // causes are certain
	done   bool
}

// startConntrack returns once droptrace is attached.
func startConntrack(t *testing.T, ns string, args ...string) *failing {
	t.Helper()
	args = append([]string{"conntrack", "--json", "--probes", plan(), "--netns", ns}, args...)
	f := &failing{cmd: exec.Command(droptrace, args...)}
	f.cmd.Stdout, f.cmd.Stderr = &f.stdout, &f.stderr
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !f.done {
			_ = f.cmd.Process.Kill()
			_ = f.cmd.Wait()
		}
	})
	eventually(t, "droptrace conntrack is attached", func() bool {
		return bytes.Contains(f.stderr.bytes(), []byte("tracing conntrack failures"))
	})
	heading := string(f.stderr.bytes())
	f.probes = strings.Contains(heading, "fentry") || strings.Contains(heading, "kprobe")
	t.Logf("%s", strings.TrimSpace(heading))
	return f
}

// stop interrupts droptrace and returns the failures of a namespace, repeats as
// records of their own.
func (f *failing) stop(t *testing.T) []drop.ConntrackFailure {
	t.Helper()
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(limit, func() { _ = f.cmd.Process.Kill() })
	err := f.cmd.Wait()
	kill.Stop()
	f.done = true
	if err != nil {
		t.Fatalf("droptrace conntrack: %v\n%s", err, f.stderr.bytes())
	}
	var list []drop.ConntrackFailure
	for line := range bytes.Lines(f.stdout.bytes()) {
		if bytes.HasPrefix(line, []byte(`{"type":"loss"`)) {
			t.Fatalf("records were lost: %s", line)
		}
		var c drop.ConntrackFailure
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		switch c.Type {
		case "conntrack_failure":
			for range c.Repeats + 1 {
				list = append(list, c)
			}
		}
	}
	return list
}

// conntrackSums are the kernel's own: conntrack -S in the namespace, added up.
func conntrackSums(t *testing.T, ns string) map[string]int {
	t.Helper()
	sums := make(map[string]int)
	for line := range strings.Lines(command(t, "", "ip", "netns", "exec", ns, "conntrack", "-S")) {
		for _, field := range strings.Fields(line)[1:] {
			name, value, _ := strings.Cut(field, "=")
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatalf("conntrack -S: %q", line)
			}
			sums[name] += n
		}
	}
	return sums
}

// counts by cause, and of those the lost ones.
func counts(list []drop.ConntrackFailure) (causes map[drop.FailureCause]int, lost int) {
	causes = make(map[drop.FailureCause]int)
	for _, f := range list {
		causes[f.Failure.Cause]++
		if f.Lost {
			lost++
		}
	}
	return causes, lost
}

func showFailures(list []drop.ConntrackFailure) string {
	var b strings.Builder
	for i, f := range list {
		if i == 10 {
			fmt.Fprintf(&b, "... %d in all\n", len(list))
			break
		}
		line, _ := json.Marshal(f)
		b.Write(append(line, '\n'))
	}
	return b.String()
}

// isCertain is what a plan with probes has to say, and one without must not.
func (f *failing) isCertain(t *testing.T, c *drop.ConntrackFailure) {
	t.Helper()
	want := "probable"
	if f.probes {
		want = "certain"
	}
	if c.Failure.Certainty != want {
		t.Errorf("%s is %s, want %s: %+v", c.Failure.Cause, c.Failure.Certainty, want, c.Failure)
	}
}

func rules(t *testing.T, ns, text string) {
	t.Helper()
	command(t, text, "ip", "netns", "exec", ns, "nft", "-f", "-")
}

// udpFrom sends one datagram from a port of the client to the server.
func udpFrom(t *testing.T, ns string, port uint16, to string, dport uint16) {
	t.Helper()
	within(t, ns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}); err != nil {
			return err
		}
		_, sa := address(to, dport)
		if err := unix.Sendto(fd, []byte("droptrace"), 0, sa); err != nil && err != unix.EPERM {
			return err
		}
		return nil
	})
}

// TestConntrackNATPortCollision: five flows, two ports. NAT keeps a port that is
// taken, and three packets die when their entries are to go into the table.
func TestConntrackNATPortCollision(t *testing.T) {
	l := newLab(t)
	rules(t, l.host, `table ip nat {
chain post { type nat hook postrouting priority 100; meta l4proto udp oifname eth1 snat to 198.51.100.1:5000-5001
}
}
`)
	l.ready(t)
	f := startConntrack(t, l.host)
	const flows, ports = 5, 2
	for i := range flows {
		udpFrom(t, l.client, uint16(1000+i), serverIP, 9999)
	}
	eventually(t, "the kernel has counted", func() bool {
		return conntrackSums(t, l.host)["insert_failed"] >= flows-ports
	})
	sums := conntrackSums(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := counts(list)
	if causes[drop.CauseNATPortCollision] != flows-ports || len(list) != flows-ports {
		t.Fatalf("causes %v, want %d collisions\n%s", causes, flows-ports, showFailures(list))
	}
	if lost != sums["drop"] || lost != sums["insert_failed"] {
		t.Errorf("%d lost, the kernel counted %v", lost, sums)
	}
	for i := range list {
		c := &list[i]
		f.isCertain(t, c)
		o := c.Failure.Other
		if c.Conntrack == nil || o == nil || o.Original.SourcePort == c.Conntrack.Original.SourcePort ||
			o.Reply.DestinationPort != c.Conntrack.Reply.DestinationPort {
			t.Errorf("the loser or who was there: %s", showFailures(list[i:i+1]))
		}
		if p := c.Failure.Pool; p == nil || p.InUse != ports || p.Low != 5000 || p.High != 5001 {
			t.Errorf("pool %+v, want %d ports in use", p, ports)
		}
		if c.Hook != "postrouting" || c.Out == nil || c.Out.Name != "eth1" {
			t.Errorf("hook %s out %v", c.Hook, c.Out)
		}
	}
}

// TestLiveTellsConntrackFailure: the same in the live command.
func TestLiveTellsConntrackFailure(t *testing.T) {
	l := newLab(t)
	rules(t, l.host, `table ip nat {
chain post { type nat hook postrouting priority 100; meta l4proto udp oifname eth1 snat to 198.51.100.1:5000
}
}
`)
	l.ready(t)
	r := start(t, []*lab{l}, "--port", "9999")
	udpFrom(t, l.client, 1000, serverIP, 9999)
	udpFrom(t, l.client, 1001, serverIP, 9999)
	eventually(t, "the kernel has counted", func() bool { return conntrackSums(t, l.host)["drop"] >= 1 })
	drops := r.stop(t)
	if len(drops) != 1 || drops[0].Conntrack == nil || drops[0].Conntrack.Failure == nil {
		t.Fatalf("want one drop with its conntrack failure:\n%s", show(drops))
	}
	d := drops[0]
	if d.Conntrack.Failure.Cause != drop.CauseNATPortCollision || d.Cause != "hook" ||
		d.Attribution.Certainty == drop.Unknown || !strings.Contains(d.Function, "conf") {
		t.Errorf("cause %s %s, %+v, failure %+v", d.Cause, d.Function, d.Attribution, d.Conntrack.Failure)
	}
	if len(d.Why) != 1 || d.Why[0].Code != "conntrack-nat-port-collision" || !strings.Contains(d.Why[0].Message, "1 udp") {
		t.Errorf("why: %+v", d.Why)
	}
}

// longWay makes packets of the host walk many rules between the place where they
// get an entry and the one where it goes into the table.
func longWay(t *testing.T, ns string, length int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("table ip long {\nchain output { type filter hook output priority 0;\n")
	for i := range length {
		fmt.Fprintf(&b, "ct mark %d counter\n", i+1)
	}
	b.WriteString("}\n}\n")
	rules(t, ns, b.String())
}

// TestConntrackTCPFlowRace: two SYNs of one flow at once. TCP's tracker allows no
// clash: the one that comes second to the table dies.
func TestConntrackTCPFlowRace(t *testing.T) {
	l := newLab(t)
	longWay(t, l.host, 500)
	// A reset would end the winner before anybody could look it up.
	rules(t, l.server, "table ip f {\nchain input { type filter hook input priority 0; drop\n}\n}\n")
	l.ready(t)
	f := startConntrack(t, l.host)
	race(t, l.host, func(round uint16) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, to := address(serverIP, 0)
		err = unix.Sendto(fd, tcpHeader("198.51.100.1", serverIP, 1024+round%60000, 81, 0x02), 0, to)
		if err == unix.EPERM {
			return nil // it lost
		}
		return err
	}, func() bool { return conntrackSums(t, l.host)["drop"] >= 3 })
	sums := conntrackSums(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := counts(list)
	if causes[drop.CauseSameFlowRace] != lost || lost != sums["drop"] || lost != sums["insert_failed"] {
		t.Fatalf("causes %v, lost %d, kernel %v\n%s", causes, lost, sums, showFailures(list))
	}
	f.isCertain(t, &list[0])
	if o := list[0].Failure.Other; o == nil || *o.Original != *list[0].Conntrack.Original {
		t.Errorf("who was there: %s", showFailures(list))
	}
}

// TestConntrackDNSRace: two datagrams of one socket through DNAT at once, as a
// resolver asks for A and AAAA. The kernel lets most pass; those that it does
// not are lost.
func TestConntrackDNSRace(t *testing.T) {
	l := newLab(t)
	longWay(t, l.host, 500)
	rules(t, l.host, `table ip nat {
chain output { type nat hook output priority -100; udp dport 53 dnat to numgen inc mod 2 map { 0 : 198.51.100.2, 1 : 198.51.100.3 }
}
}
`)
	l.ready(t)
	f := startConntrack(t, l.host, "--resolved")
	var sockets sharedSockets
	race(t, l.host, func(round uint16) error {
		fd, err := sockets.open(round)
		if err != nil {
			return err
		}
		defer sockets.close(round)
		_, to := address("198.51.100.53", 53)
		if err := unix.Sendto(fd, []byte("query"), 0, to); err != nil && err != unix.EPERM {
			return err
		}
		return nil
	}, func() bool {
		sums := conntrackSums(t, l.host)
		return sums["clash_resolve"]+sums["drop"] >= 3
	})
	sums := conntrackSums(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := counts(list)
	resolved := sums["clash_resolve"]
	if !f.probes {
		resolved = 0 // nothing was freed: the tracepoint cannot know
	}
	if lost != sums["drop"] || causes[drop.CauseClashResolved] != resolved || causes[drop.CauseSameFlowRace] != lost {
		t.Fatalf("causes %v, lost %d, kernel %v\n%s", causes, lost, sums, showFailures(list))
	}
}

// TestConntrackInvalid: a packet with flags that TCP does not know.
func TestConntrackInvalid(t *testing.T) {
	l := newLab(t)
	rules(t, l.host, `table ip f {
chain input { type filter hook input priority 0; ct state invalid counter drop
}
}
`)
	l.ready(t)
	f := startConntrack(t, l.host)
	sendTCP(t, l.client, clientIP, hostIP, 1000, 80, 0x03) // SYN and FIN
	eventually(t, "the kernel has counted", func() bool { return conntrackSums(t, l.host)["invalid"] >= 1 })
	eventually(t, "droptrace has told", func() bool {
		return bytes.Contains(f.stdout.bytes(), []byte("conntrack_failure"))
	})
	list := f.stop(t)
	if len(list) != 1 || list[0].Failure.Cause != drop.CauseInvalid {
		t.Fatalf("want one invalid packet:\n%s", showFailures(list))
	}
	reason := list[0].Failure.Reason
	if f.probes && hasKprobes() && !strings.Contains(reason, "flag") {
		t.Errorf("reason %q, want the kernel's complaint about flags", reason)
	}
}

// hasKprobes: the log functions are variadic, so that nothing else reaches them.
func hasKprobes() bool { return plan() == "kprobe" || plan() == "auto" }

// guest is for tests that change settings of the whole machine: nf_conntrack_max
// and the hash belong to the first namespace. scripts/vm-test runs them.
func guest(t *testing.T) {
	t.Helper()
	nstest.OnlyInGuests(t)
}

// setConntrack writes a setting of the machine and takes it back afterwards.
func setConntrack(t *testing.T, name, value string) {
	t.Helper()
	path := "/proc/sys/net/netfilter/nf_conntrack_" + name
	before, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(value), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(path, bytes.TrimSpace(before), 0); err != nil {
			t.Error(err)
		}
	})
}

// manyFlows sends one datagram from each of so many ports of the client.
func manyFlows(t *testing.T, l *lab, from, n int, dport uint16) {
	t.Helper()
	within(t, l.client, func() error {
		_, to := address(serverIP, dport)
		for i := range n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if err = unix.Bind(fd, &unix.SockaddrInet4{Port: from + i}); err == nil {
				err = unix.Sendto(fd, []byte("droptrace"), 0, to)
			}
			unix.Close(fd)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// settled waits until the sums stay as they are.
func settled(t *testing.T, ns string) map[string]int {
	t.Helper()
	return quiet(t, "conntrack's counters settle", func() map[string]int { return conntrackSums(t, ns) })
}

// TestGuestConntrackTableFull: more flows than the table takes. Some are dropped, for
// some another connection is evicted.
func TestGuestConntrackTableFull(t *testing.T) {
	guest(t)
	l := newLab(t)
	rules(t, l.host, "table ip f {\nchain forward { type filter hook forward priority 0; ct state new accept\n}\n}\n")
	rules(t, l.server, "table ip f {\nchain input { type filter hook input priority 0; drop\n}\n}\n")
	l.ready(t)
	f := startConntrack(t, l.host)
	const flows, most = 600, 200
	setConntrack(t, "max", strconv.Itoa(most))
	manyFlows(t, l, 10000, flows, 9999)
	sums := settled(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := counts(list)
	t.Logf("causes %v, kernel %v", causes, sums)
	if sums["drop"] == 0 || sums["early_drop"] == 0 {
		t.Fatalf("the table was not full: %v", sums)
	}
	evicted := sums["early_drop"]
	if !f.probes {
		evicted = 0 // no packet was lost: the tracepoint cannot know
	}
	if causes[drop.CauseTableFull] != sums["drop"] || lost != sums["drop"] || causes[drop.CauseEarlyDrop] != evicted {
		t.Fatalf("causes %v, lost %d, kernel %v\n%s", causes, lost, sums, showFailures(list))
	}
	for i := range list {
		c := &list[i]
		f.isCertain(t, c)
		if c.Failure.Table == nil || c.Failure.Table.Max != most {
			t.Errorf("table %+v, want a maximum of %d", c.Failure.Table, most)
		}
		if c.Packet.DestinationPort == nil || *c.Packet.DestinationPort != 9999 {
			t.Errorf("packet %+v", c.Packet)
		}
		if c.Failure.Cause != drop.CauseEarlyDrop {
			continue
		}
		if o := c.Failure.Other; o == nil || o.Original.SourcePort == *c.Packet.SourcePort {
			t.Errorf("evicted: %s", showFailures(list[i:i+1]))
		}
	}
}

// TestGuestConntrackChainTooLong: a hash so small that chains grow past what the
// kernel walks (50 to 80 entries).
func TestGuestConntrackChainTooLong(t *testing.T) {
	guest(t)
	l := newLab(t)
	rules(t, l.host, "table ip f {\nchain forward { type filter hook forward priority 0; ct state new accept\n}\n}\n")
	rules(t, l.server, "table ip f {\nchain input { type filter hook input priority 0; drop\n}\n}\n")
	if _, ok := conntrackSums(t, l.host)["chaintoolong"]; !ok || linux510() {
		return // this kernel walks on
	}
	l.ready(t)
	setConntrack(t, "buckets", "512")
	setConntrack(t, "max", "100000")
	f := startConntrack(t, l.host)
	manyFlows(t, l, 2000, 25000, 9999)
	sums := settled(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := counts(list)
	t.Logf("causes %v, kernel %v", causes, sums)
	if sums["chaintoolong"] == 0 {
		t.Fatalf("no chain was too long: %v", sums)
	}
	if causes[drop.CauseChainTooLong] != sums["chaintoolong"] || lost != sums["insert_failed"] {
		t.Fatalf("causes %v, lost %d, kernel %v\n%s", causes, lost, sums, showFailures(list))
	}
	f.isCertain(t, &list[0])
}
