package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// A tracing is a droptrace that runs.
type tracing struct {
	cmd      *exec.Cmd
	stdout   buffer
	messages buffer      // on standard error, so far
	stderr   chan string // all of it, once it has ended
	summary  string      // the same, after the end
	plan     string
	finished bool
}

// A buffer can be read while it is written.
type buffer struct {
	mu   sync.Mutex
	data []byte
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	return len(p), nil
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.data)
}

// start returns once droptrace is attached.
func start(t *testing.T, labs []*lab, args ...string) *tracing {
	t.Helper()
	return startBy(t, nil, labs, args...)
}

// startBy has another program, with its own arguments, start droptrace.
func startBy(t *testing.T, by []string, labs []*lab, args ...string) *tracing {
	t.Helper()
	return startWith(t, func(*exec.Cmd) {}, by, labs, args...)
}

// startWith lets the process be changed before it starts.
func startWith(t *testing.T, change func(*exec.Cmd), by []string, labs []*lab, args ...string) *tracing {
	t.Helper()
	nstest.SkipUnprivileged(t)
	if !slices.Contains(args, "--output") {
		args = append([]string{"--json"}, args...)
	}
	args = append([]string{"--probes", plan()}, args...)
	for _, l := range labs {
		args = append(args, "--netns", l.host)
	}
	args = slices.Concat(by, []string{droptrace}, args)
	r := &tracing{cmd: exec.Command(args[0], args[1:]...), stderr: make(chan string, 1)}
	r.cmd.Stdout = &r.stdout
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = w
	change(r.cmd)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		if !r.finished {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})

	heading := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(io.TeeReader(pipe, &r.messages))
		for {
			line, err := lines.ReadString('\n')
			if strings.HasPrefix(line, "tracing drops") {
				heading <- line
			}
			if err != nil {
				break
			}
		}
		close(heading)
		pipe.Close()
		r.stderr <- string(r.messages.bytes())
	}()
	select {
	case line, ok := <-heading:
		if !ok {
			t.Fatalf("%s ended early:\n%s", strings.Join(args, " "), <-r.stderr)
		}
		line = strings.TrimSpace(line)
		r.plan = line[strings.LastIndex(line, " ")+1:]
		t.Logf("probes: %s", r.plan)
	case <-time.After(limit):
		t.Fatalf("droptrace is not attached after %v", limit)
	}
	return r
}

func (r *tracing) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// stop interrupts droptrace once no drop waits any more, and returns what it has told.
func (r *tracing) stop(t *testing.T) []drop.Drop {
	t.Helper()
	r.settle(t)
	r.end(t)
	return r.told(t)
}

// settle waits until every drop so far has got what it waits for: at its end droptrace
// gives them no more than a second.
func (r *tracing) settle(t *testing.T) {
	t.Helper()
	eventually(t, "no drop waits", func() bool {
		before := waitingCounts(r.messages.bytes())
		r.signal(t, syscall.SIGUSR1)
		var after []string
		eventually(t, "droptrace says how many drops wait", func() bool {
			after = waitingCounts(r.messages.bytes())
			return len(after) > len(before)
		})
		return after[len(after)-1] == "0"
	})
}

var waitingCount = regexp.MustCompile(`(?m)^droptrace: .*, ([0-9]+) waiting for their rules$`)

func waitingCounts(messages []byte) []string {
	var counts []string
	for _, m := range waitingCount.FindAllSubmatch(messages, -1) {
		counts = append(counts, string(m[1]))
	}
	return counts
}

// told returns the drops told so far.
func (r *tracing) told(t *testing.T) []drop.Drop {
	t.Helper()
	return parseDrops(t, r.stdout.bytes())
}

func parseDrops(t *testing.T, text []byte) []drop.Drop {
	t.Helper()
	var drops []drop.Drop
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the rest of it is on its way
		}
		var d drop.Drop
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		switch d.Type {
		case "drop":
			for range d.Repeats + 1 {
				drops = append(drops, d)
			}
		case "loss":
			t.Fatalf("drops were lost: %s", line)
		}
	}
	return drops
}

// end interrupts droptrace and waits for it.
func (r *tracing) end(t *testing.T) {
	t.Helper()
	r.signal(t, os.Interrupt)
	kill := time.AfterFunc(limit, func() { _ = r.cmd.Process.Kill() })
	err := r.cmd.Wait()
	kill.Stop()
	r.finished = true
	if r.summary = <-r.stderr; err != nil {
		t.Fatalf("droptrace: %v\n%s", err, r.summary)
	}
}

// mayNotKnow says whether nft rules are out of reach: there the kernel passes
// no rule to what can be traced without kprobes.
func (r *tracing) mayNotKnow() bool {
	return linux510() && (r.plan == "tracepoint" || r.plan == "fentry")
}

// of returns the drops of one namespace.
func of(drops []drop.Drop, ns string) []drop.Drop {
	var own []drop.Drop
	for _, d := range drops {
		if d.Netns.Name == ns {
			own = append(own, d)
		}
	}
	return own
}

// to returns the drops of packets that were sent to a port.
func to(drops []drop.Drop, port uint16) []drop.Drop {
	var own []drop.Drop
	for _, d := range drops {
		if p := d.Packet.DestinationPort; p != nil && *p == port {
			own = append(own, d)
		}
	}
	return own
}

func show(drops []drop.Drop) string {
	var b strings.Builder
	for _, d := range drops {
		line, err := json.Marshal(d)
		if err != nil {
			return err.Error()
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}
