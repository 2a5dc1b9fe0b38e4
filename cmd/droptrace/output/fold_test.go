package output

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// dropOf is a drop by one of many rules, of one of many flows.
func dropOf(rule, flow int, at time.Time) *drop.Drop {
	d := ruleDrop()
	r := *d.Rule
	r.Number, r.Handle = rule+1, uint64(rule+100)
	d.Rule = &r
	d.Packet.Source = netip.AddrFrom4([4]byte{10, byte(flow >> 16), byte(flow >> 8), byte(flow)})
	d.Time = at
	return &d
}

func TestCalmFoldsNothing(t *testing.T) {
	f := Folder{Window: time.Second, Keys: 8}
	for i := range 1000 {
		at := sampleTime.Add(time.Duration(i) * time.Millisecond)
		if !f.Add(dropOf(0, 0, at), at, Calm) {
			t.Fatal("folded a drop while calm")
		}
	}
	if got := f.Take(nil); len(got) != 0 {
		t.Errorf("took %v", got)
	}
}

func TestStrainShowsTheFirstAndFoldsTheRest(t *testing.T) {
	f := Folder{Window: time.Second, Keys: 8}
	for i := range 10 {
		for flow := range 3 {
			if passed := f.Add(dropOf(0, flow, sampleTime), sampleTime, Strain); passed != (i == 0) {
				t.Fatalf("round %d flow %d: passed %v", i, flow, passed)
			}
		}
	}
	got := f.Take(nil)
	if len(got) != 3 || f.Held() != 0 {
		t.Fatalf("took %d, %d held", len(got), f.Held())
	}
	for _, e := range got {
		if e.Count != 9 || !e.Shown || e.Scope != ScopeFlow {
			t.Errorf("got %+v", e)
		}
	}
}

func TestTooManyFlowsAreCountedByRule(t *testing.T) {
	f := Folder{Window: time.Second, Keys: 2}
	for rule := range 4 {
		for flow := range 5 {
			f.Add(dropOf(rule, flow, sampleTime), sampleTime, Full)
		}
	}
	scopes := map[Scope]uint64{}
	got := f.Take(nil)
	for _, e := range got {
		scopes[e.Scope] += e.Count
	}
	// Two flows, the rest of the first rule and the second, then all else.
	if scopes[ScopeFlow] != 2 || scopes[ScopeRule] != 8 || scopes[ScopeAll] != 10 || len(got) != 5 {
		t.Errorf("got %v in %d entries", scopes, len(got))
	}
}

func TestNothingPassesWhatIsDue(t *testing.T) {
	f := Folder{Window: time.Second, Keys: 2}
	f.Add(dropOf(0, 0, sampleTime), sampleTime, Full)
	late := sampleTime.Add(2 * time.Second)
	if f.Add(dropOf(0, 1, late), late, Calm) {
		t.Error("a drop overtook one that was held back for two windows")
	}
	if got := f.Take(nil); len(got) != 2 {
		t.Errorf("took %d", len(got))
	}
	if !f.Add(dropOf(0, 1, late), late, Calm) {
		t.Error("still folds after all was taken")
	}
}

// TestFoldingIsExact drives a Folder at random and holds three promises: the
// sum is exact, memory is bounded, order is kept within the window.
func TestFoldingIsExact(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := Folder{Window: time.Second, Keys: 1 + r.IntN(20)}
		now := sampleTime
		var given, shown, folded uint64
		var newest time.Time // of all that was printed
		check := func(at time.Time) {
			if newest.Sub(at) > f.Window {
				t.Fatalf("seed %d: printed %v after %v", seed, at, newest)
			}
			if at.After(newest) {
				newest = at
			}
		}
		for range 5000 {
			now = now.Add(time.Duration(r.IntN(5)) * time.Millisecond)
			if r.IntN(300) == 0 {
				now = now.Add(3 * time.Second)
			}
			d := dropOf(r.IntN(30), r.IntN(50), now)
			d.Repeats = uint64(r.IntN(2))
			given += 1 + d.Repeats
			if f.Add(d, now, Pressure(r.IntN(3))) {
				shown += 1 + d.Repeats
				check(now)
			}
			if f.Due(now) && r.IntN(3) > 0 {
				for _, e := range f.Take(nil) {
					folded += e.Count
					check(e.Drop.Time)
				}
			}
			if len(f.flows) > f.Keys || len(f.rules) > f.Keys || len(f.order) > 2*f.Keys+1 {
				t.Fatalf("seed %d: %d flows, %d rules, %d in order for %d keys", seed, len(f.flows), len(f.rules), len(f.order), f.Keys)
			}
			if shown+folded+f.Held() != given {
				t.Fatalf("seed %d: %d shown + %d folded + %d held, want %d", seed, shown, folded, f.Held(), given)
			}
		}
	}
}

func BenchmarkFolder(b *testing.B) {
	drops := make([]*drop.Drop, 1000)
	for i := range drops {
		drops[i] = dropOf(i%7, i, sampleTime)
	}
	f := Folder{Window: time.Second, Keys: 2048}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Add(drops[i%len(drops)], sampleTime, Full)
	}
}

func BenchmarkTally(b *testing.B) {
	var t Tally
	d := ruleDrop()
	b.ReportAllocs()
	for b.Loop() {
		t.Add(&d)
	}
}
