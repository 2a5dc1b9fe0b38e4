package integration

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
)

// natFirewall translates in both directions and drops at random, at two hooks.
const natFirewall = `
table ip nat {
	chain in { type nat hook prerouting priority dstnat; udp dport 7000 dnat to 198.51.100.2:9000; }
	chain out { type nat hook postrouting priority srcnat; ip daddr 198.51.100.2 masquerade; }
}
table ip filter {
	chain forward {
		type filter hook forward priority filter;
		udp dport 9000 numgen random mod 3 == 0 counter drop
	}
	chain late {
		type filter hook postrouting priority 200;
		udp dport 9000 numgen random mod 5 == 0 counter drop
	}
	chain input {
		type filter hook input priority filter;
		udp dport 7100 numgen random mod 2 == 0 counter drop
		tcp dport 7200 counter drop
	}
}
`

// tcpdumpHasRead waits until a tcpdump has read all that it received: what it has not when
// it is told to end is lost.
func tcpdumpHasRead(t *testing.T, tcpdump *os.Process, stderr *buffer) {
	t.Helper()
	report := regexp.MustCompile(`(\d+) packets? captured, (\d+) packets? received`)
	reports := func() [][]string { return report.FindAllStringSubmatch(string(stderr.bytes()), -1) }
	eventually(t, "tcpdump has read all", func() bool {
		before := len(reports())
		_ = tcpdump.Signal(unix.SIGUSR1)
		eventually(t, "tcpdump reports", func() bool { return len(reports()) > before })
		all := reports()
		return all[len(all)-1][1] == all[len(all)-1][2]
	})
}

// capturing is a tcpdump that runs.
func capturing(t *testing.T, ns, file string, args ...string) (stop func()) {
	t.Helper()
	args = append([]string{"netns", "exec", ns, "tcpdump", "-n", "-B", "32768", "-s", "256", "--immediate-mode", "-w", file}, args...)
	cmd := exec.Command("ip", args...)
	stderr := new(buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	t.Cleanup(func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	eventually(t, "tcpdump listens", func() bool { return bytes.Contains(stderr.bytes(), []byte("listening on")) })
	return func() {
		tcpdumpHasRead(t, cmd.Process, stderr)
		ended = true
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("tcpdump: %v\n%s", err, stderr.bytes())
		}
		if !bytes.Contains(stderr.bytes(), []byte("\n0 packets dropped by kernel")) {
			t.Fatalf("the capture has gaps:\n%s", stderr.bytes())
		}
	}
}

// flood sends datagrams to the host whose payload begins with their number; where
// not even that is to differ, DSCP counts them, which no correlation looks at.
func flood(t *testing.T, l *lab, port int, packets, sockets int, equal bool) {
	t.Helper()
	within(t, l.client, func() error {
		var conns []*net.UDPConn
		for range sockets {
			c, err := net.ListenUDP("udp4", nil)
			if err != nil {
				return err
			}
			defer c.Close()
			conns = append(conns, c)
		}
		payload := make([]byte, 100)
		to := &net.UDPAddr{IP: net.ParseIP(hostIP), Port: port}
		for i := range packets {
			c := conns[i%len(conns)]
			if !equal {
				binary.BigEndian.PutUint64(payload[40:], uint64(i)+1)
			} else if err := setTOS(c, i%64<<2); err != nil {
				return err
			}
			if _, err := c.WriteToUDP(payload, to); err != nil {
				return err
			}
		}
		return nil
	})
}

func setTOS(c *net.UDPConn, tos int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, tos) }); err != nil {
		return err
	}
	return set
}

// dissected is what of a packet tells which it is.
type dissected struct{ port, payload, dscp, seq string }

// dissect has tcpdump, which knows nothing of droptrace's readers, print the bytes
// of a file's packets.
func dissect(t *testing.T, file string) (all []dissected) {
	t.Helper()
	var packet []byte
	end := func() {
		if packet != nil {
			all = append(all, dissectIP(t, packet))
		}
		packet = nil
	}
	for line := range strings.Lines(command(t, "", "tcpdump", "-n", "-t", "-x", "-r", file)) {
		dump, ok := strings.CutPrefix(line, "\t0x")
		if !ok {
			end()
			continue
		}
		_, digits, _ := strings.Cut(dump, ":")
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatal(err)
		}
		packet = append(packet, b...)
	}
	end()
	return all
}

func dissectIP(t *testing.T, b []byte) (d dissected) {
	t.Helper()
	const ip, tcp, udp = 20, 6, 17
	if len(b) < ip+8 || b[0] != 0x45 {
		t.Fatalf("packet % x", b)
	}
	d.dscp = strconv.Itoa(int(b[1] >> 2))
	d.port = strconv.Itoa(int(binary.BigEndian.Uint16(b[ip+2:])))
	switch b[9] {
	case tcp:
		d.seq = hex.EncodeToString(b[ip+4 : ip+8])
	case udp:
		d.payload = hex.EncodeToString(b[ip+8:])
	}
	return d
}

type correlated struct {
	Status     string
	Frame      uint64
	Number     uint64
	AfterNS    int64 `json:"after_ns"`
	Candidates []struct{ Number uint64 }
}

func correlateFiles(t *testing.T, args ...string) (results []correlated) {
	t.Helper()
	out := command(t, "", droptrace, append([]string{"read", "--json", "--correlate"}, args...)...)
	for line := range strings.Lines(out) {
		var r correlated
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	return results
}

// A capture before NAT and drops after it: what the far side received says which
// packets died, and the numbers in their payload which is which.
func TestDropsAreFoundInACaptureThroughNAT(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const packets, equals = 20000, 200
	l := newLab(t)
	command(t, natFirewall, "ip", "netns", "exec", l.host, "nft", "-f", "-")
	l.ready(t)
	dir := t.TempDir()
	before, after, drops := filepath.Join(dir, "before.pcap"), filepath.Join(dir, "after.pcap"), filepath.Join(dir, "drops.pcapng")
	trace := start(t, []*lab{l}, "--netfilter", "--buffer-size", "64M", "-w", drops)
	stopBefore := capturing(t, l.host, before, "-i", "eth0", "-Q", "in", "udp or tcp")
	stopAfter := capturing(t, l.server, after, "-i", "eth0", "-Q", "in", "udp")
	flood(t, l, 7000, packets, 5, false)
	flood(t, l, 7100, equals, 1, true)
	sendAndSendAgain(t, l, 7200)
	counted := func() (n int) {
		for _, f := range strings.Split(command(t, "", "ip", "netns", "exec", l.host, "nft", "list", "table", "ip", "filter"), "counter packets ")[1:] {
			c, _ := strconv.Atoi(f[:strings.IndexByte(f, ' ')])
			n += c
		}
		return n
	}
	died := quiet(t, "what was sent has died or arrived", counted)
	stopBefore()
	stopAfter()
	trace.stop(t)

	arrived := make(map[string]bool)
	for _, p := range dissect(t, after) {
		arrived[p.payload] = true
	}
	frames, records := dissect(t, before), dissect(t, drops)
	if len(records) != died {
		t.Fatalf("%d drops recorded, the rules counted %d", len(records), died)
	}
	results := correlateFiles(t, before, drops)
	matched := checkCorrelation(t, results, frames, records, arrived)
	want, again := 0, 0
	for _, r := range records {
		if r.seq != "" {
			again++
		}
		if r.port == "9000" || r.seq != "" {
			want++
		}
	}
	t.Logf("%d captured, %d died, %d of %d matched", len(frames), died, matched, want)
	if again < 2 {
		t.Errorf("%d SYNs were dropped, want two at least", again)
	}
	if matched < want {
		t.Errorf("%d of %d drops that can be told apart were matched", matched, want)
	}
}

// sendAndSendAgain waits for the kernel's own retransmission of a SYN, which differs
// from the first in its time alone.
func sendAndSendAgain(t *testing.T, l *lab, port int) {
	t.Helper()
	within(t, l.client, func() error {
		c, err := net.DialTimeout("tcp4", net.JoinHostPort(hostIP, strconv.Itoa(port)), 1500*time.Millisecond)
		if err == nil {
			c.Close()
			t.Error("it was not dropped")
		}
		return nil
	})
}

// checkCorrelation returns how many drops with a number of their own were matched.
func checkCorrelation(t *testing.T, results []correlated, frames, records []dissected, arrived map[string]bool) (matched int) {
	t.Helper()
	used := make(map[uint64]bool)
	for _, r := range results {
		switch r.Status {
		case "dropped":
			f, d := frames[r.Frame-1], records[r.Number-1]
			if f.payload != d.payload || f.dscp != d.dscp || f.seq != d.seq {
				t.Fatalf("frame %d %+v is said to be drop %d %+v", r.Frame, f, r.Number, d)
			}
			if f.port == "7000" && arrived[f.payload] {
				t.Fatalf("frame %d is said to be dropped, and has arrived", r.Frame)
			}
			if r.AfterNS > int64(100*time.Millisecond) {
				t.Errorf("frame %d was dropped %d ns later", r.Frame, r.AfterNS)
			}
			if used[r.Number] {
				t.Fatalf("drop %d is matched twice", r.Number)
			}
			used[r.Number] = true
			if f.port != "7100" {
				matched++
			}
		case "ambiguous":
			if f := frames[r.Frame-1]; f.port != "7100" {
				t.Errorf("frame %d %+v is ambiguous", r.Frame, f)
			} else if len(r.Candidates) < 1 {
				t.Errorf("frame %d is ambiguous with %d candidates", r.Frame, len(r.Candidates))
			}
		case "not_captured":
			t.Errorf("drop %d %+v is said not to be captured", r.Number, records[r.Number-1])
		default:
			t.Errorf("status %q was not asked for", r.Status)
		}
	}
	return matched
}
