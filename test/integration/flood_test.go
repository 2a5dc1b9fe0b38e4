package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// A flood goes on while others attach to the tracepoint and leave it, and droptrace
// has to calibrate in the middle of it: every drop is counted and told.
func TestAFloodWhileTracersComeAndGo(t *testing.T) {
	nstest.NotInGuests(t, "slow")
	s := ruleset{"nft", `table ip a {
	chain out {
		type filter hook output priority 0; policy accept;
		udp dport 7100 counter drop
	}
	chain in {
		type filter hook input priority 0; policy accept;
		udp dport 7101 counter drop
	}
}`}
	l := newLab(t)
	s.load(t, l.host)
	l.ready(t)
	other := start(t, nil)
	stream, err := os.Create(filepath.Join(t.TempDir(), "drops.json")) // too much to hold in memory
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	trace := startWith(t, func(c *exec.Cmd) { c.Stdout = stream }, nil, []*lab{l}, "--port", "7100-7101", "--no-why")
	if trace.mayNotKnow() {
		return
	}
	var ended atomic.Bool
	var floods sync.WaitGroup
	defer floods.Wait()
	defer ended.Store(true)
	for port, from := range map[uint16]string{7100: l.host, 7101: l.client} {
		floods.Go(func() {
			if err := torrent(from, port, &ended); err != nil {
				t.Error(err)
			}
		})
	}
	for range 2 {
		other.end(t)
		trace.forgetFrames(t)
		other = start(t, nil)
		eventually(t, "the frames are known again", func() bool { return len(trace.frames(t)) > 0 })
	}
	ended.Store(true)
	floods.Wait()
	other.end(t)
	before := time.Now()
	eventually(t, "a drop is certain", func() bool {
		packet{port: 7101}.send(t, l)
		time.Sleep(200 * time.Millisecond)
		return certainSince(t, stream.Name(), before)
	})
	trace.end(t)
	checkSums(t, trace, stream.Name(), scenario{rulesets: []ruleset{s}}.count(t, l).total())
}

// streamed is what the test reads of a record.
type streamed struct {
	Type                 string
	Time                 time.Time
	Lost, Count, Repeats uint64
	Attribution          drop.Attribution
}

// eachStreamed reads a file of records, whose last line may be on its way.
func eachStreamed(t *testing.T, name string, visit func(*streamed)) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewReader(f); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var v streamed
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		visit(&v)
	}
}

// checkSums compares what the stream holds, and the closing sums, with the rules'
// own counters.
func checkSums(t *testing.T, r *tracing, stream string, kernel uint64) {
	t.Helper()
	var told, lost uint64
	eachStreamed(t, stream, func(v *streamed) {
		switch v.Type {
		case "drop":
			told += 1 + v.Repeats
		case "folded":
			told += v.Count
		case "loss":
			lost += v.Lost
		}
	})
	number := func(pattern string) uint64 {
		m := regexp.MustCompile(pattern).FindStringSubmatch(r.summary)
		if m == nil {
			return 0
		}
		return parse(t, strings.ReplaceAll(m[1], ",", ""))
	}
	skipped := number(`([0-9,]+) nested runs? missed`)
	t.Logf("the rules counted %d: %d told, %d lost, %d runs skipped", kernel, told, lost, skipped)
	if told != number(`\+ ([0-9,]+) delivered`) || lost != number(`\+ ([0-9,]+) lost`) {
		t.Errorf("%d told and %d lost, against the closing sums", told, lost)
	}
	// A reader that is stopped by calibration tells a fortieth.
	if told < kernel/10 {
		t.Errorf("of %d drops %d are told", kernel, told)
	}
	if told+lost > kernel || told+lost+skipped < kernel {
		t.Errorf("%d told, %d lost and %d skipped, and the rules counted %d", told, lost, skipped, kernel)
	}
	if t.Failed() {
		t.Log(r.summary)
	}
}

// frames is droptrace's own map of what calibration found.
func (r *tracing) frames(t *testing.T) (keys [][]byte) {
	t.Helper()
	r.withMap(t, "frame_sites", func(m *ebpf.Map) {
		var key, value []byte
		for it := m.Iterate(); it.Next(&key, &value); {
			keys = append(keys, bytes.Clone(key))
		}
	})
	return keys
}

// forgetFrames has droptrace find them out again, as it must where the stack has
// become another.
func (r *tracing) forgetFrames(t *testing.T) {
	t.Helper()
	keys := r.frames(t)
	r.withMap(t, "frame_sites", func(m *ebpf.Map) {
		for _, key := range keys {
			if err := m.Delete(key); err != nil {
				t.Errorf("delete a frame: %v", err)
			}
		}
	})
}

// withMap opens one of the maps that the process has open.
func (r *tracing) withMap(t *testing.T, name string, fn func(*ebpf.Map)) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, _ := os.ReadFile(f) // it may be closed meanwhile
		_, after, ok := strings.Cut(string(info), "map_id:\t")
		if !ok {
			continue
		}
		id, err := strconv.ParseUint(strings.Fields(after)[0], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ebpf.NewMapFromID(ebpf.MapID(id))
		if err != nil {
			continue
		}
		if i, err := m.Info(); err == nil && i.Name == name {
			fn(m)
			m.Close()
			return
		}
		m.Close()
	}
	t.Fatalf("droptrace has no map %s", name)
}

// certainSince reports whether a drop from after that time is certain.
func certainSince(t *testing.T, stream string, at time.Time) (certain bool) {
	eachStreamed(t, stream, func(v *streamed) {
		if v.Type == "drop" && v.Time.After(at) && v.Attribution.Certainty == drop.Certain {
			certain = true
		}
	})
	return certain
}

// torrent sends packets from a namespace as fast as one thread can.
func torrent(from string, port uint16, ended *atomic.Bool) error {
	return nstest.Within(from, func() error {
		domain, to := address("", port)
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for !ended.Load() {
			err := unix.Sendto(fd, make([]byte, 8), 0, to)
			if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOBUFS) {
				return fmt.Errorf("send to port %d: %w", port, err)
			}
		}
		return nil
	})
}
