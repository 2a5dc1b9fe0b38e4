// Package near finds what a name that does not exist may have been meant for.
package near

import (
	"cmp"
	"slices"
	"strings"
)

const (
	most    = 3  // names that are offered
	longest = 64 // bytes of a name that are compared: there may be thousands of names
)

// Names returns up to three of names, each once and the nearest first: those a
// slip or two of the finger away, and those that begin with name or hold it.
func Names(name string, names []string) []string {
	type candidate struct {
		name  string
		apart int
	}
	var found []candidate
	for _, n := range slices.Compact(slices.Sorted(slices.Values(names))) {
		// Doubled, so that a beginning comes before a slip as near.
		apart := 2 * distance(strings.ToLower(name), strings.ToLower(n))
		if len(name) >= 2 && strings.Contains(n, name) {
			apart = min(apart, 2)
			if strings.HasPrefix(n, name) {
				apart--
			}
		}
		if apart <= 2*max(1, min(len(name), len(n))/3) {
			found = append(found, candidate{n, apart})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.apart, b.apart) })
	var list []string
	for _, c := range found[:min(len(found), most)] {
		list = append(list, c.name)
	}
	return list
}

// distance counts the insertions, deletions, replacements and swaps of neighbours
// that turn a into b.
func distance(a, b string) int {
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	var before, last, row [longest + 1]int // of a[:i-1], a[:i], a[:i+1]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last = last, row
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
