package recording

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// BenchmarkWrite records a flood of many flows by one rule to /dev/null: what the
// reader of the ring pays for a drop.
func BenchmarkWrite(b *testing.B) {
	w, err := Create("/dev/null", Options{})
	if err != nil {
		b.Fatal(err)
	}
	drops, captures := flood(1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := w.Write(drops[i%len(drops)], captures[i%len(drops)]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(drop.Counts{}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWriteOtherVerdict has every drop die by another rule.
func BenchmarkWriteOtherVerdict(b *testing.B) {
	var e Encoder
	buf := e.Begin(nil, time.Now())
	drops, captures := flood(10000)
	for i, d := range drops {
		d.Rule.Handle = uint64(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var err error
		if buf, err = e.Drop(buf[:0], drops[i%len(drops)], captures[i%len(drops)], 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	const n = 10000
	var e Encoder
	file := e.Begin(nil, time.Now())
	drops, captures := flood(n)
	for i, d := range drops {
		var err error
		if file, err = e.Drop(file, d, captures[i], 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ReportMetric(float64(len(file))/n, "bytes/drop")
	var rec Record
	var r *Reader
	for b.Loop() {
		if r == nil {
			r, _ = NewReader(bytes.NewReader(file))
		}
		if err := r.Read(&rec); errors.Is(err, io.EOF) {
			r = nil
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

func flood(n int) (drops []*drop.Drop, captures []*drop.Capture) {
	for i := range n {
		d, c := udpDrop(i)
		drops, captures = append(drops, d), append(captures, c)
	}
	return drops, captures
}
