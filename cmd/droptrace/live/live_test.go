package live

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/fake"
	"github.com/droptrace/droptrace/resolve/drop"
)

// pipeTerminal is a terminal whose standard output is a pipe.
func pipeTerminal(t testing.TB) (term console.Terminal, stdout *os.File, stderr func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stderr")
	e, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close(); e.Close() })
	env := map[string]string{"LANG": "C.UTF-8"}
	term = console.Terminal{Stdout: w, Stderr: e, Getenv: func(k string) string { return env[k] }, Zone: time.UTC}
	return term, r, func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// countJSON adds up what the records of a stream stand for.
func countJSON(t *testing.T, r io.Reader) (drops, repeats, folded uint64) {
	t.Helper()
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var rec struct {
			Type           string
			Repeats, Count uint64
		}
		if err := json.Unmarshal(s.Bytes(), &rec); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		switch rec.Type {
		case "drop":
			drops++
			repeats += rec.Repeats
		case "folded":
			folded += rec.Count
		}
	}
	return drops, repeats, folded
}

// A reader that is slower than the drops gets all of them as counts.
func TestFloodIsFoldedExactly(t *testing.T) {
	for _, tt := range []struct {
		name         string
		drops, flows int
	}{
		{"one flow", 50000, 1},
		{"few flows", 50000, 500},
		{"more flows than can be told apart", 50000, 20000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			term, stdout, stderr := pipeTerminal(t)
			f := &fake.Source{Drops: tt.drops, Flows: tt.flows, End: true, Lost: 5}
			done := make(chan error, 1)
			go func() {
				err := runLive(context.Background(), Options{Format: "json"}, term, f.Open)
				term.Stdout.Close()
				done <- err
			}()
			slow := &slowReader{r: stdout}
			drops, repeats, folded := countJSON(t, slow)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if drops+repeats+folded != uint64(tt.drops) {
				t.Errorf("%d drops + %d repeats + %d folded, want %d in all\n%s", drops, repeats, folded, tt.drops, stderr())
			}
			if repeats+folded == 0 {
				t.Error("nothing was folded: the reader was not slow")
			}
			if !strings.Contains(stderr(), "50,000 matched: ") || !strings.Contains(stderr(), "5 lost") {
				t.Errorf("summary:\n%s", stderr())
			}
		})
	}
}

// slowReader stops for a while at its start, then now and then.
type slowReader struct {
	r io.Reader
	n int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.n%64 == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	s.n++
	return s.r.Read(p)
}

// Below the limits each drop is shown, in order.
func TestCalmRunShowsEachDropInOrder(t *testing.T) {
	term, stdout, _ := pipeTerminal(t)
	f := &fake.Source{Drops: 300, End: true, Every: 50 * time.Microsecond}
	done := make(chan error, 1)
	go func() {
		err := runLive(context.Background(), Options{Format: "json"}, term, f.Open)
		term.Stdout.Close()
		done <- err
	}()
	s := bufio.NewScanner(stdout)
	n := 0
	for ; s.Scan(); n++ {
		want, _ := json.Marshal(f.Drop(n))
		if !bytes.Equal(s.Bytes(), want) {
			t.Fatalf("line %d: got %s, want %s", n, s.Text(), want)
		}
	}
	if err := <-done; err != nil || n != 300 {
		t.Errorf("%d lines, %v", n, err)
	}
}

// The reader of the ring is never held up by whoever reads standard output.
func TestStuckOutputDoesNotHoldTheReader(t *testing.T) {
	q := newQueue(false)
	f := &fake.Source{Flows: 100000}
	start := time.Now()
	const n = 500000
	for i := range n {
		q.put(f.Drop(i), start.Add(time.Duration(i)*time.Microsecond))
	}
	if len(q.drops) > queueLength {
		t.Errorf("%d drops wait", len(q.drops))
	}
	q.close()
	var b batch
	q.take(&b, start)
	sum := uint64(len(b.drops))
	for _, e := range b.folded {
		sum += e.Count
	}
	if !b.last || sum != n {
		t.Errorf("took %d, last %v", sum, b.last)
	}
	if len(b.folded) > 2*foldKeys+1 {
		t.Errorf("%d entries", len(b.folded))
	}
}

func TestTerminalPace(t *testing.T) {
	q := newQueue(true)
	f := &fake.Source{Flows: 1000000}
	now := time.Unix(1000, 0)
	var b batch
	printed, sum := 0, uint64(0)
	take := func() {
		q.take(&b, now)
		printed += len(b.drops) + len(b.folded)
		sum += uint64(len(b.drops))
		for _, e := range b.folded {
			sum += e.Count
		}
	}
	// People see each drop of a low rate for as long as it lasts.
	for i := range 3000 {
		now = now.Add(20 * time.Millisecond)
		q.put(f.Drop(i), now)
		take()
	}
	if printed != 3000 {
		t.Errorf("printed %d of 3000 at 50 a second", printed)
	}
	// A flood of ten seconds scrolls by at a pace that can be followed.
	printed, sum = 0, 0
	for i := range 100000 {
		now = now.Add(100 * time.Microsecond)
		q.put(f.Drop(i), now)
		take()
	}
	q.close()
	take()
	if sum != 100000 {
		t.Errorf("%d drops came out of 100000", sum)
	}
	if most := terminalBurst + 10*terminalRate + 2*terminalKeys + 2; printed > most {
		t.Errorf("printed %d blocks in ten seconds, more than %d", printed, most)
	}
}

func TestUTF8Locale(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{}, false},
		{map[string]string{"LANG": "en_GB.UTF-8"}, true},
		{map[string]string{"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, false},
		{map[string]string{"LC_CTYPE": "C.utf8"}, true},
	} {
		if got := console.Utf8Locale(func(k string) string { return tt.env[k] }); got != tt.want {
			t.Errorf("%v: got %v", tt.env, got)
		}
	}
}

// pacedSource hands out drops made before, at a rate.
type pacedSource struct {
	fake.Source
	made  []*drop.Drop
	n     int
	rate  int // a second
	start time.Time
}

func (p *pacedSource) Next(context.Context) (*drop.Drop, error) {
	if p.n == p.Drops {
		return nil, io.EOF
	}
	if p.n == 0 {
		p.start = time.Now()
	}
	if p.n%100 == 0 { // as a ring is read: what has come, then wait
		due := p.start.Add(time.Duration(p.n) * time.Second / time.Duration(p.rate))
		time.Sleep(time.Until(due))
	}
	p.n++
	return p.made[p.n%len(p.made)], nil
}

// BenchmarkLive reports how much of a steady flood of many flows is folded.
func BenchmarkLive(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	term := console.Terminal{Stdout: null, Stderr: null, Getenv: func(string) string { return "" }, Zone: time.UTC}
	for _, format := range []string{"json", "text", "tcpdump"} {
		for _, rate := range []int{100000, 200000, 300000, 500000} {
			b.Run(fmt.Sprintf("%s/rate=%d", format, rate), func(b *testing.B) {
				p := &pacedSource{rate: rate, Source: fake.Source{Drops: b.N, Flows: 10000}}
				for i := range 10000 {
					p.made = append(p.made, p.Drop(i))
				}
				b.ResetTimer()
				s := newSession(Options{Format: format, Quiet: true}, term, p, newQueue(false), func(error) {})
				if err := s.run(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(100*float64(s.w.folded.Load())/float64(b.N), "%folded")
			})
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	f := &fake.Source{Flows: 1000}
	q, d, now := newQueue(false), f.Drop(0), time.Now()
	var taken batch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.put(d, now)
		if i%100 == 0 {
			q.take(&taken, now)
		}
	}
}
