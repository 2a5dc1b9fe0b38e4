package expression_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
	"github.com/droptrace/droptrace/tracer/filter/expression"
	"github.com/droptrace/droptrace/tracer/filter/internal/kernelside"
)

// A sample is a frame as a capture holds it.
type sample struct {
	bytes  []byte
	length int
}

func samples(seed uint64, n int) []sample {
	r := newRandom(seed)
	list := make([]sample, n)
	for i := range list {
		list[i].bytes, list[i].length = r.frame()
	}
	return list
}

// writeCapture writes a pcap file whose packets carry their number as the time.
func writeCapture(t testing.TB, list []sample) string {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0)
	for i, s := range list {
		for _, v := range []int{i + 1, 0, len(s.bytes), s.length} {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		b = append(b, s.bytes...)
	}
	file := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// tcpdumpMatches is the truth: what tcpdump itself lets through.
func tcpdumpMatches(t testing.TB, file, text string, n int) []bool {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command("tcpdump", "-r", "-", "-w", "-", "--", text)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tcpdump %q: %v\n%s", text, err, stderr.String())
	}
	matched := make([]bool, n)
	for r := bytes.NewReader(out[24:]); ; {
		var header [4]uint32
		err := binary.Read(r, binary.LittleEndian, &header)
		if errors.Is(err, io.EOF) {
			return matched
		}
		if err != nil {
			t.Fatal(err)
		}
		matched[header[0]-1] = true
		if _, err := r.Seek(int64(header[2]), io.SeekCurrent); err != nil {
			t.Fatal(err)
		}
	}
}

func compile(t testing.TB, text string) *expression.Program {
	t.Helper()
	p, err := expression.Compile(context.Background(), expression.RunTcpdump, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// inKernel is a program that runs one expression on frames of the test's own.
type inKernel struct {
	program *ebpf.Program
	frames  *ebpf.Map
	value   []byte
}

func load(t testing.TB, p *expression.Program) *inKernel {
	t.Helper()
	nstest.SkipUnprivileged(t)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	spec, err := kernelside.LoadPrograms()
	if err != nil {
		t.Fatal(err)
	}
	for name := range spec.Programs {
		if name != "run_expression" {
			delete(spec.Programs, name)
		}
	}
	if err := p.Inject(spec, 1); err != nil {
		t.Fatal(err)
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		if v, ok := errors.AsType[*ebpf.VerifierError](err); ok {
			t.Logf("%+v", v)
		}
		t.Fatalf("load %q: %v", p, err)
	}
	t.Cleanup(coll.Close)
	frames := coll.Maps["frames"]
	return &inKernel{coll.Programs["run_expression"], frames, make([]byte, frames.ValueSize())}
}

// run puts a frame where the kernel side would: its EtherType at 18 of bytes[].
func (k *inKernel) run(t testing.TB, p *expression.Program, s sample) bool {
	t.Helper()
	const bytesAt, start = 12, 6
	b := s.bytes[:min(len(s.bytes), p.Depth())]
	clear(k.value)
	for i, v := range []int{start, start + len(b), s.length} {
		binary.NativeEndian.PutUint32(k.value[4*i:], uint32(v))
	}
	copy(k.value[bytesAt+start:], b)
	if err := k.frames.Put(uint32(0), k.value); err != nil {
		t.Fatal(err)
	}
	value, err := k.program.Run(&ebpf.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return int32(value) > 0
}

// TestTcpdumpAgrees holds both evaluations against tcpdump's own.
func TestTcpdumpAgrees(t *testing.T) {
	const n = 3000
	list := samples(1, n)
	file := writeCapture(t, list)
	matches := 0
	for _, text := range expressions {
		p := compile(t, text)
		k := load(t, p)
		for i, want := range tcpdumpMatches(t, file, text, n) {
			s := list[i]
			if got := k.run(t, p, s); got != want {
				t.Fatalf("%q: kernel %t, tcpdump %t, %d of %d bytes\n%x", text, got, want, len(s.bytes), s.length, s.bytes)
			}
			got, err := p.Frame(s.bytes, s.length)
			if err != nil {
				t.Fatal(err)
			}
			if got == expression.Yes != want {
				t.Fatalf("%q: Go %v, tcpdump %t, %d of %d bytes\n%x", text, got, want, len(s.bytes), s.length, s.bytes)
			}
			if want {
				matches++
			}
		}
		k.program.Close()
		k.frames.Close()
	}
	t.Logf("%d frames, %d expressions, %d matches", n, len(expressions), matches)
	if all := n * len(expressions); matches < all/20 || matches > all/2 {
		t.Errorf("%d of %d match: the test decides too little", matches, all)
	}
}

// What an expression may look at bounds what the kernel side reads: with all of
// a packet behind it nothing may change.
func TestDepthIsEnough(t *testing.T) {
	list := samples(2, 2000)
	for _, text := range expressions {
		p := compile(t, text)
		for _, s := range list {
			whole, err := p.Frame(s.bytes, s.length)
			if err != nil {
				t.Fatal(err)
			}
			cut, err := p.Frame(s.bytes[:min(len(s.bytes), p.Depth())], s.length)
			if err != nil {
				t.Fatal(err)
			}
			if whole == expression.Yes != (cut == expression.Yes) {
				t.Fatalf("%q: %v with all of %d bytes, %v with %d", text, whole, len(s.bytes), cut, p.Depth())
			}
		}
	}
}

func TestDepthsAreSmall(t *testing.T) {
	for text, want := range map[string]int{
		"":                             0,
		"tcp port 80":                  14 + 60 + 4, // the longest IPv4 header, or IPv6's
		"ip proto 47":                  24,
		"ether host 02:00:00:00:00:01": 12,
		"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420": 14 + 60 + 60 + 4,
		"udp[100:4] > 5":  14 + 60 + 104,
		"ip[ip[2:2]] = 0": expression.MaxDepth,
		"less 100":        0,
	} {
		if got := compile(t, text).Depth(); got != want {
			t.Errorf("%q: depth %d, want %d", text, got, want)
		}
	}
}

func TestPropertiesOfPrograms(t *testing.T) {
	addresses := []string{"ether host 02:00:00:00:00:01", "broadcast", "multicast", "ether[0] & 1 != 0", "tcp or ether src 02:00:00:00:00:01"}
	tags := []string{"vlan", "vlan 5 and tcp", "not vlan", "ether proto 0x8100"}
	neither := []string{"tcp port 80", "host 10.0.0.1", "arp", "ip[2:2] = 0x8100", "less 64", "ip multicast"}
	for _, text := range slices.Concat(addresses, tags, neither) {
		p := compile(t, text)
		if got := p.Addresses(); got != slices.Contains(addresses, text) {
			t.Errorf("%q: Addresses %t", text, got)
		}
		if got := p.Tags(); got != slices.Contains(tags, text) {
			t.Errorf("%q: Tags %t", text, got)
		}
	}
}

// What an expression costs a packet that was read for it: ns/packet, by the
// kernel's own clock.
func BenchmarkInKernel(b *testing.B) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skip(err)
	}
	defer stats.Close()
	list := samples(3, 1000)
	for _, text := range []string{
		"ip", "tcp port 80", "tcp port 80 and host 10.0.0.1", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
		"host 10.0.0.1 or host 10.0.0.2 or host 2001:db8::1 or net 192.0.2.0/24 or port 443",
	} {
		b.Run(text, func(b *testing.B) {
			p := compile(b, text)
			k := load(b, p)
			for i := range b.N {
				k.run(b, p, list[i%len(list)])
			}
			s, err := k.program.Stats()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(s.Runtime.Nanoseconds())/float64(s.RunCount), "ns/packet")
		})
	}
}
