package table

import (
	"math/rand/v2"
	"testing"
)

// TestTopMissesNoFrequentKey holds space-saving to what it promises.
func TestTopMissesNoFrequentKey(t *testing.T) {
	const room, total = 64, 200_000
	rng := rand.New(rand.NewPCG(1, 2))
	top, truth := NewTop[int](room), make(map[int]uint64)
	for range total {
		key := rng.IntN(10_000)
		if rng.IntN(3) == 0 {
			key = -rng.IntN(5) - 1 // five keys with a fifteenth each
		}
		top.Add(key, 1)
		truth[key]++
	}
	if top.Total != total {
		t.Fatalf("total %d, want %d", top.Total, total)
	}
	for _, r := range top.List(room) {
		if n := truth[r.Key]; r.Count < n || r.Count-r.Error > n {
			t.Errorf("key %d: %d to %d, truly %d", r.Key, r.Count-r.Error, r.Count, n)
		}
	}
	for _, r := range top.List(5) {
		if r.Key >= 0 {
			t.Errorf("key %d among the five highest", r.Key)
		}
	}
}

func TestTopIsExactWhereThereIsRoom(t *testing.T) {
	top := NewTop[string](4)
	for key, n := range map[string]uint64{"a": 3, "b": 10, "c": 1} {
		top.Add(key, n)
	}
	list := top.List(2)
	if len(list) != 2 || list[0] != (Ranked[string]{Key: "b", Count: 10}) || list[1] != (Ranked[string]{Key: "a", Count: 3}) {
		t.Errorf("%+v", list)
	}
}

func BenchmarkTopAddManyKeys(b *testing.B) {
	top := NewTop[uint32](censusRoom)
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]uint32, 1<<20)
	for i := range keys {
		keys[i] = rng.Uint32N(1 << 18)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		top.Add(keys[i&(1<<20-1)], 1)
		i++
	}
}
