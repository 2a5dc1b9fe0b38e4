package netns

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxNear is how many names are offered for one that does not exist.
const maxNear = 3

// near returns the names that name may have been meant for, each once: those
// that hold it or differ in a few letters.
func near(name string, names []string) []string {
	type candidate struct {
		name  string
		apart int
	}
	var found []candidate
	for _, n := range names {
		apart := distance(strings.ToLower(name), strings.ToLower(n))
		if len(name) >= 2 && strings.Contains(n, name) {
			apart = min(apart, 1)
		}
		if apart <= max(1, min(len(name), len(n))/3) {
			found = append(found, candidate{n, apart})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.apart, b.apart), strings.Compare(a.name, b.name))
	})
	found = slices.Compact(found)
	var list []string
	for _, c := range found[:min(len(found), maxNear)] {
		list = append(list, c.name)
	}
	return list
}

// distance counts the insertions, deletions, replacements and swaps of neighbours
// that turn a into b. Names may have 255 bytes and there may be thousands: the
// work is bounded.
func distance(a, b string) int {
	const longest = 64
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

// either joins quoted names: "a", "b" or "c". Who may make a namespace may put a
// terminal's escapes in its name.
func either(names []string) string {
	var b strings.Builder
	for i, n := range names {
		switch {
		case i > 0 && i == len(names)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(n))
	}
	return b.String()
}
