package symbol

import (
	"cmp"
	"slices"
	"strings"
)

// near returns up to five names that someone who typed key may have meant: those
// that hold it, then those a few letters away.
func near(key string, names []string) []string {
	const most = 5
	type candidate struct {
		name  string
		apart int
	}
	var found []candidate
	for _, name := range names {
		switch d := distance(key, name); {
		case len(key) >= 3 && strings.Contains(name, key):
			found = append(found, candidate{name, 0})
		case d <= max(len(key)/3, 1):
			found = append(found, candidate{name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.apart, b.apart) })
	var near []string
	for _, c := range found[:min(len(found), most)] {
		near = append(near, c.name)
	}
	return near
}

// distance is Levenshtein's. The key is what a user typed, so it is cut before
// the work grows with it.
func distance(a, b string) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
