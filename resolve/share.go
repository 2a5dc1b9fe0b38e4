package resolve

import "time"

// What a namespace may cost the goroutine that resolves: whoever is root in it decides
// how much there is to do, and others' drops must not be lost to it.
const (
	// shareOf is the part of the time, one in so many.
	shareOf = 8
	// shareBurst is what may be taken at once.
	shareBurst = 100 * time.Millisecond
)

// share is a part of the time that some work may take.
type share struct {
	spent time.Duration
	last  time.Time
}

// affords reports whether there is time left.
func (s *share) affords(now time.Time) bool {
	if passed := now.Sub(s.last); passed > 0 {
		s.spent = max(s.spent-passed/shareOf, 0)
		s.last = now
	}
	return s.spent < shareBurst
}
