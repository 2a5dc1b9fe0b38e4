package table

import (
	"cmp"
	"slices"
)

// Top counts the most frequent keys in bounded memory (Metwally's space-saving):
// where there are more keys than room the counts of rare ones flow into those
// that take their place, so that a count is too high by its Error at most, and no
// key with more than total/room is missing.
type Top[K comparable] struct {
	room  int
	slots []Ranked[K] // a heap: the lowest count first
	index map[K]int
	Total uint64
}

// Ranked is a key with its count; the true one lies between Count-Error and Count.
type Ranked[K comparable] struct {
	Key   K
	Count uint64
	Error uint64
}

// NewTop has room for so many keys.
func NewTop[K comparable](room int) *Top[K] {
	return &Top[K]{room: room, index: make(map[K]int, room)}
}

// Add counts a key n more times.
func (t *Top[K]) Add(k K, n uint64) {
	t.Total += n
	if i, ok := t.index[k]; ok {
		t.slots[i].Count += n
		t.sink(i)
		return
	}
	if len(t.slots) < t.room {
		t.slots = append(t.slots, Ranked[K]{Key: k, Count: n})
		t.index[k] = len(t.slots) - 1
		t.rise(len(t.slots) - 1)
		return
	}
	least := &t.slots[0]
	delete(t.index, least.Key)
	*least = Ranked[K]{Key: k, Count: least.Count + n, Error: least.Count}
	t.index[k] = 0
	t.sink(0)
}

// List returns the n highest counts, the highest first.
func (t *Top[K]) List(n int) []Ranked[K] {
	list := slices.Clone(t.slots)
	slices.SortStableFunc(list, func(a, b Ranked[K]) int {
		return cmp.Compare(b.Count-b.Error, a.Count-a.Error)
	})
	return list[:min(n, len(list))]
}

func (t *Top[K]) swap(i, j int) {
	t.slots[i], t.slots[j] = t.slots[j], t.slots[i]
	t.index[t.slots[i].Key], t.index[t.slots[j].Key] = i, j
}

func (t *Top[K]) rise(i int) {
	for i > 0 && t.slots[i].Count < t.slots[(i-1)/2].Count {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *Top[K]) sink(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(t.slots); c++ {
			if t.slots[c].Count < t.slots[least].Count {
				least = c
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
