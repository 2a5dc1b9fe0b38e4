package main

import (
	"cmp"
	"slices"
	"strings"
)

// maxNear is how many names are offered for one that does not exist.
const maxNear = 3

// near returns the names that name may have been meant for: a slip or two of the
// finger, or a name that it begins. The nearest is first, and of two as near the
// one that it begins.
func near(name string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for _, n := range names {
		d := 2 * distance(strings.ToLower(name), strings.ToLower(n))
		begins := len(name) >= 2 && strings.HasPrefix(n, name)
		switch {
		case begins:
			d--
		case d > 2*max(1, min(len(name), len(n))/3):
			continue
		}
		found = append(found, candidate{n, d})
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var list []string
	for _, c := range found[:min(len(found), maxNear)] {
		list = append(list, c.name)
	}
	return list
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last = last, row
		row = make([]int, len(b)+1)
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

// either joins names for a sentence: "a", "a or b", "a, b or c".
func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
