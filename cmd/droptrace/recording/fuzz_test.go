package recording

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

func seedFile(t testing.TB) []byte {
	var e Encoder
	b := e.Begin(nil, sampleTime)
	for i := range 3 {
		d, c := udpDrop(i)
		var err error
		if b, err = e.Drop(b, d, c, uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	d, c := ipv6Drop()
	b, err := e.Drop(b, d, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = e.Drop(b, filledDrop(), nil, 0); err != nil {
		t.Fatal(err)
	}
	if b, err = e.End(b, drop.Counts{Seen: 5}, sampleTime); err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzReader reads whatever may stand in a file. What it takes for a drop can be
// recorded and read again.
func FuzzReader(f *testing.F) {
	b := seedFile(f)
	f.Add(b)
	f.Add(b[:len(b)-7])
	f.Add(b[:100])
	line, err := json.Marshal(filledDrop())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(line, '\n'))
	f.Add([]byte(`{"type":"loss","schema":1,"lost":3}` + "\n" + `{"type":"folded","schema":1,"count":3}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var rec Record
		for r.Read(&rec) == nil {
			if rec.Drop == nil {
				t.Fatal("a drop that is none")
			}
			var e Encoder
			again, err := e.Drop(e.Begin(nil, sampleTime), rec.Drop, &rec.Capture, rec.Lost)
			if err != nil {
				continue // too long to be written
			}
			r2, err := NewReader(bytes.NewReader(again))
			if err != nil {
				t.Fatal(err)
			}
			var rec2 Record
			if err := r2.Read(&rec2); err != nil {
				t.Fatalf("what was read cannot be written and read: %v", err)
			}
			if rec2.Lost != rec.Lost || len(rec2.Capture.Data) != len(rec.Capture.Data) {
				t.Fatalf("%+v became %+v", rec, rec2)
			}
		}
	})
}

// A file cut anywhere gives all whole drops before the cut, and says that it was
// cut.
func TestEveryCutIsNoticed(t *testing.T) {
	whole := seedFile(t)
	ends := map[int]bool{}
	for n := 0; n < len(whole); n += int(order.Uint32(whole[n+4:])) {
		ends[n] = true
	}
	for n := range len(whole) {
		r, err := NewReader(bytes.NewReader(whole[:n]))
		var rec Record
		for err == nil {
			err = r.Read(&rec)
		}
		if cut := err.Error() != "EOF" && n > 0; cut == ends[n] {
			t.Errorf("cut at byte %d of %d: %v", n, len(whole), err)
		}
	}
}

// A damaged length or number must not make the reader take much memory, or read a
// drop as another's.
func TestDamageIsNoticed(t *testing.T) {
	whole := seedFile(t)
	for n := range len(whole) {
		b := bytes.Clone(whole)
		b[n] ^= 0xff
		r, err := NewReader(bytes.NewReader(b))
		var rec Record
		for err == nil {
			err = r.Read(&rec)
		}
	}
}
