package integration

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// startTcpdump captures on eth0 of a namespace what an expression lets through,
// and returns a function that ends it and gives the packets' IPv4 ids.
func startTcpdump(t *testing.T, ns, text string) func() []uint16 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "eth0.pcap")
	cmd := exec.Command("ip", "netns", "exec", ns,
		"tcpdump", "-i", "eth0", "--immediate-mode", "-U", "-w", file, "-Z", "root", "--", text)
	var stderr buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "tcpdump listens", func() bool { return bytes.Contains(stderr.bytes(), []byte("listening on")) })
	return func() []uint16 {
		tcpdumpHasRead(t, cmd.Process, &stderr)
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("tcpdump: %v\n%s", err, stderr.bytes())
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return captureIDs(t, b)
	}
}

// captureIDs reads a pcap file.
func captureIDs(t *testing.T, pcap []byte) (ids []uint16) {
	t.Helper()
	for r := bytes.NewReader(pcap[24:]); ; {
		var header [4]uint32
		if err := binary.Read(r, binary.LittleEndian, &header); errors.Is(err, io.EOF) {
			return ids
		}
		frame := make([]byte, header[2])
		if _, err := io.ReadFull(r, frame); err != nil {
			t.Fatal(err)
		}
		at := 12
		if len(frame) > 16 && frame[12] == 0x81 {
			at = 16
		}
		if len(frame) > at+8 && frame[at] == 8 && frame[at+1] == 0 {
			ids = append(ids, binary.BigEndian.Uint16(frame[at+6:]))
		}
	}
}

// ipIDs are those of the drops, in order of time.
func ipIDs(drops []drop.Drop) (ids []uint16) {
	for _, d := range drops {
		if d.Packet.IPID != nil {
			ids = append(ids, *d.Packet.IPID)
		}
	}
	return ids
}

// tcpdump beside it is the truth: it captures what the host then drops.
func TestExpressionsMatchWhatTcpdumpMatches(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	s := ruleset{"nft", "table netdev a {\n chain in { type filter hook ingress device eth0 priority 0; counter drop\n }\n}"}
	l, sent := newLab(t), uint64(0)
	s.load(t, l.host)
	l.ready(t)
	for _, text := range []string{
		"udp dst port 4301 and less 100", "udp[8:4] = 0x64740001 and src host 192.0.2.2", "not udp port 4301 and ip",
		"udp[udp[4:2] - 1] = 7", "ether dst 02:00:00:00:00:01 and udp[4:2] > 1000", "vlan 7 and udp",
	} {
		t.Run(text, func(t *testing.T) {
			stop := startTcpdump(t, l.host, text)
			trace := start(t, []*lab{l}, text)
			for i := range 60 {
				frame := udpFrame(uint16(4301+i%4), []int{8, 60, 250, 1300}[i/4%4])
				binary.BigEndian.PutUint16(frame[18:], uint16(1000+i))
				copy(frame[42:], []byte{0x64, 0x74, 0, byte(i % 3)})
				frame[len(frame)-1] = byte(7 * (i % 2))
				if len(frame) > 242 {
					frame[234] = byte(7 * (i % 2))
				}
				if i%5 == 0 {
					frame = slices.Concat(frame[:12], []byte{0x81, 0, 0, byte(6 + i%2)}, frame[12:])
				}
				sendFrame(t, l.client, frame)
				sent++
			}
			counted(t, l, s, sent)
			drops := of(trace.stop(t), l.host)
			got, want := ipIDs(drops), stop()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%d drops %v\ntcpdump has %d %v", len(got), got, len(want), want)
			}
		})
	}
}

// An expression of link-layer addresses cannot match what has none yet.
func TestExpressionsSeeThePacketsOfTheHostItself(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	s := ruleset{"nft", "table ip a {\n chain out { type filter hook output priority 0; udp dport 4311-4319 counter drop\n }\n}"}
	for text, want := range map[string][]uint16{
		"ip src 192.0.2.1 and not udp port 4312": {4311, 4313},
		"ether host 02:00:00:00:00:01":           nil,
	} {
		t.Run(text, func(t *testing.T) {
			l, trace := traceOne(t, s, text)
			for port := uint16(4311); port <= 4313; port++ {
				packet{port: port, to: clientIP, local: true}.send(t, l)
			}
			counted(t, l, s, 3)
			var got []uint16
			for _, d := range of(trace.stop(t), l.host) {
				if d.Packet.DestinationPort != nil {
					got = append(got, *d.Packet.DestinationPort)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("ports %s, want %s", fmt.Sprint(got), fmt.Sprint(want))
			}
		})
	}
}

// Lines of droptrace are those of a tcpdump beside it, but for the time and for
// the drop behind.
func TestTcpdumpLinesAreThoseOfTcpdump(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	s := ruleset{"nft", "table inet a {\n chain in { type filter hook input priority 0; tcp dport 4321 counter drop\n udp dport 4322 counter reject\n icmp type echo-request counter drop\n }\n}"}
	l := newLab(t)
	s.load(t, l.host)
	l.ready(t)
	cmd := exec.Command("ip", "netns", "exec", l.host, "tcpdump", "-n", "-S", "-l", "-t", "-Q", "in", "-i", "eth0", "--immediate-mode",
		"tcp port 4321 or udp port 4322 or icmp[icmptype] = icmp-echo")
	var stdout, stderr buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "tcpdump listens", func() bool { return bytes.Contains(stderr.bytes(), []byte("listening on")) })
	trace := start(t, []*lab{l}, "--output", "tcpdump", "-t", "--netfilter")
	packet{port: 4321, tcp: true}.send(t, l)
	packet{port: 4321, tcp: true, to: hostIP6}.send(t, l)
	packet{port: 4322, size: 77}.send(t, l)
	within(t, l.client, func() error {
		_ = exec.Command("ping", "-c1", "-W1", hostIP).Run() // no answer is what is wanted
		return nil
	})
	counted(t, l, s, 4)
	var want []string
	eventually(t, "tcpdump prints four packets", func() bool {
		want = lines(stdout.bytes())
		return len(want) >= 4
	})
	trace.end(t)
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	var got []string
	for _, line := range lines(trace.stdout.bytes()) {
		wire, drop, ok := strings.Cut(line, " [drop input eth0")
		if !ok {
			wire, drop, ok = strings.Cut(line, " [reject input eth0")
		}
		if !ok || !strings.Contains(drop, "nft inet a in") || !strings.HasSuffix(drop, "]") {
			t.Errorf("no drop behind: %s", line)
		}
		got = append(got, wire)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("droptrace\n%s\ntcpdump\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func lines(b []byte) []string {
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// The same expression picks the same drops live and from a recording.
func TestExpressionsOnARecording(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	s := ruleset{"nft", "table ip a {\n chain in { type filter hook input priority 0; udp dport 4331-4339 counter drop\n }\n chain out { type filter hook output priority 0; udp dport 4331-4339 counter drop\n }\n}"}
	file := filepath.Join(t.TempDir(), "drops.pcapng")
	l, trace := traceOne(t, s, "--output", "text", "--netfilter", "-w", file)
	for port := uint16(4331); port <= 4333; port++ {
		packet{port: port, size: int(port - 4231)}.send(t, l)
		packet{port: port, to: clientIP, local: true}.send(t, l)
	}
	counted(t, l, s, 6)
	trace.end(t)
	for text, want := range map[string]int{
		"udp dst port 4332": 2, "src host 192.0.2.2": 3, "not udp port 4332 and greater 143": 1, "udp[50] = 0": 3, "ether[0] != 0 and dst port 4331": 1,
	} {
		out := command(t, "", droptrace, "read", file, "-q", "--output", "tcpdump", text)
		if got := strings.Count(out, "\n"); got != want {
			t.Errorf("%q: %d drops, want %d\n%s", text, got, want, out)
		}
	}
}
