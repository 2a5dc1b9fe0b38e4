package tracer

import (
	"errors"
	"testing"
)

func TestRangesOfWatchedEntriesNeverOverlap(t *testing.T) {
	a := newXTAllocator(100)
	for table, number := range map[uint64]uint32{1: 30, 2: 1, 3: 40, 4: 0, 5: 20} {
		if _, err := a.allocate(table, number); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.allocate(3, 10); err != nil { // replaced by a smaller one
		t.Fatal(err)
	}
	if _, err := a.allocate(6, 30); err != nil {
		t.Fatal(err)
	}
	used := make(map[uint32]uint64)
	for table, r := range a.ranges {
		for i := r.first; i < r.first+r.number; i++ {
			if other, clash := used[i]; clash {
				t.Fatalf("entry %d belongs to tables %d and %d", i, other, table)
			}
			used[i] = table
		}
	}
	if len(used) != 30+1+10+20+30 {
		t.Errorf("%d entries in use", len(used))
	}
}

func TestAFullWatchMapIsAnError(t *testing.T) {
	a := newXTAllocator(10)
	if _, err := a.allocate(1, 8); err != nil {
		t.Fatal(err)
	}
	if _, err := a.allocate(2, 3); !errors.Is(err, ErrXTCapacity) {
		t.Errorf("got %v, want ErrXTCapacity", err)
	}
	if first, err := a.allocate(1, 10); err != nil || first != 0 {
		t.Errorf("a table's own range was not given back: %d, %v", first, err)
	}
}
