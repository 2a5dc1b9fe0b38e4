package recording

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// wireshark runs one of Wireshark's programs, the readers that recordings are for.
func wireshark(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// record writes drops to a file of its own.
func record(t *testing.T, o Options, drops ...func() (*drop.Drop, *drop.Capture)) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "drops.pcapng")
	w, err := Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drops {
		if err := w.Write(d()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(drop.Counts{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// otherDrops are of other link types, interfaces and namespaces.
func ipv6Drop() (*drop.Drop, *drop.Capture) {
	d, _ := udpDrop(3)
	b := append([]byte{0x60, 0, 0, 0, 0, 8, 17, 64}, make([]byte, 40)...)
	b[23], b[39], b[45] = 1, 2, 8
	d.Packet = drop.ReadPacket(0x86dd, b)
	d.Netns = drop.Netns{Inode: 4026532111, PID: 7, Command: "ngi:nx"}
	d.Hook, d.In, d.Out = "output", nil, &drop.Interface{Index: 9, Name: "tun0"}
	return d, &drop.Capture{
		Link: drop.LinkRaw, Data: b, Original: 1500, Parsed: len(b), Direction: drop.Outbound,
		Device: drop.Interface{Index: 9, Name: "tun0"},
	}
}

func TestWiresharkReadsWhatWasRecorded(t *testing.T) {
	first := func() (*drop.Drop, *drop.Capture) { return udpDrop(1) }
	own := func() (*drop.Drop, *drop.Capture) {
		d, c := udpDrop(2)
		d.Netns = drop.Netns{Inode: 4026531840, Own: true}
		d.Rule.Text = "comment \"\x1b[31mred\" drop"
		d.Conntrack.NAT = []string{"dnat"}
		return d, c
	}
	file := record(t, Options{Encoder: Encoder{Application: "droptrace test", OS: "Linux 6.12", Snaplen: 1000}}, first, own, ipv6Drop)
	fields := []string{"frame.time_epoch", "frame.interface_name", "frame.encap_type", "frame.cap_len", "frame.len",
		"frame.packet_flags_direction", "ip.src", "ipv6.dst", "udp.dstport", "frame.comment"}
	args := []string{"-r", file, "-T", "fields", "-E", "separator=;"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	want := []string{
		"1795373042.117836124;web:eth0;1;49;49;0x00000001;10.0.0.1;;80;" +
			"drop: input eth0 · netns web · iptables-nft filter INPUT rule 7 (handle 12) · conntrack new: -A INPUT -p udp -m udp --dport 80 -j DROP",
		"1795373042.117837125;eth0;1;49;49;0x00000001;10.0.0.1;;80;" +
			`drop: input eth0 · iptables-nft filter INPUT rule 7 (handle 12) · conntrack new: comment "\x1b[31mred" drop` +
			"; nat: dnat · original 10.0.0.1.40002 > 10.0.0.2.80 · reply 10.0.0.2.80 > 10.0.0.1.40002",
		"1795373042.117838126;ngi:nx(7):tun0;7;48;1500;0x00000002;;::2;0;" +
			"drop: output tun0 · netns of ngi:nx (7) · iptables-nft filter INPUT rule 7 (handle 12) · conntrack new: -A INPUT -p udp -m udp --dport 80 -j DROP",
	}
	got := strings.Split(strings.TrimSpace(wireshark(t, "tshark", args...)), "\n")
	for i := range max(len(want), len(got)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("packet %d\ngot  %s\nwant %s", i+1, g, w)
		}
	}
	info := wireshark(t, "capinfos", file)
	for _, want := range []string{
		"pcapng", "nanoseconds (9)", "Number of packets:   3", "Capture application: droptrace test",
		"Capture oper-sys:    Linux 6.12", "Number of interfaces in file: 3", "Capture length = 1000",
		"Description = interface 2, network namespace 4026532000",
	} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
}

// Verdicts, drop counts and what stands behind them must not stop another reader,
// however many there are.
func TestWiresharkReadsManyVerdicts(t *testing.T) {
	const n = 5000
	name := filepath.Join(t.TempDir(), "drops.pcapng")
	w, err := Create(name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		d, c := udpDrop(i)
		d.Rule.Handle = uint64(i)
		if i%100 == 0 {
			w.AddLost(3)
		}
		if err := w.Write(d, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(drop.Counts{Lost: 3 * n / 100}); err != nil {
		t.Fatal(err)
	}
	out := wireshark(t, "tshark", "-r", name, "-T", "fields", "-e", "frame.comment")
	if got := strings.Count(out, "\n"); got != n {
		t.Fatalf("%d packets, want %d", got, n)
	}
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if want := fmt.Sprintf("(handle %d)", i); i > 0 && !strings.Contains(line, want) {
			t.Fatalf("packet %d: %s", i+1, line)
		}
	}
	r, close := openRecording(t, name)
	defer close()
	var rec Record
	lost := uint64(0)
	for r.Read(&rec) == nil {
		lost += rec.Lost
	}
	if lost != 3*n/100 {
		t.Errorf("%d lost, want %d", lost, 3*n/100)
	}
}

func openRecording(t *testing.T, name string) (*Reader, func()) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(f)
	if err != nil {
		f.Close()
		t.Fatal(err)
	}
	return r, func() { f.Close() }
}

// As in droptrace -w - | wireshark -k -i -: a drop shows while the run goes on.
func TestWiresharkReadsAPipeAsItIsWritten(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tshark", "-l", "-i", "-", "-T", "fields", "-e", "udp.dstport")
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	rec, err := Create("-", Options{Stdout: w})
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Write(udpDrop(1)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "80\n" {
		t.Errorf("tshark says %q, %v", line, err)
	}
	if err := rec.Close(drop.Counts{}); err != nil {
		t.Error(err)
	}
	w.Close()
	_ = cmd.Wait()
}
