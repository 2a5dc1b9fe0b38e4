package drop

import (
	"cmp"
	"slices"
	"time"
)

// Counts are the counters of a run as the tracer keeps them. They obey
//
//	Seen      = FilteredKernel + Lost + Delivered
//	Delivered = FilteredUser + what was handed to a printer
type Counts struct {
	Seen           uint64 // drops that the tracepoint saw
	FilteredKernel uint64 // of these, not asked for
	Lost           uint64 // asked for, and no room in the buffer
	Delivered      uint64
	FilteredUser   uint64

	// Not part of Seen.
	Members      uint64 // fragments and clones of a drop that was counted
	NotLost      uint64 // frees that lost no packet
	MissedNested uint64 // runs that the kernel skipped
	Undecided    uint64 // filtered: the expression looks at bytes that could not be read
}

// Lost is what the kernel side knows of the drops that found no room in the
// buffer. What is in none of it was counted, but not told apart.
type Lost struct {
	Places []LostPlace
	// Unasked are those that a filter left out which the kernel cannot decide.
	Unasked uint64
	// NotLost are frees that lost no packet.
	NotLost uint64
}

// LostPlace counts lost drops that one rule, or one place in the kernel, dropped.
type LostPlace struct {
	Drop  *Drop // the first of them; the same one each time
	Count uint64
}

// Known is how many are told apart.
func (l *Lost) Known() uint64 {
	n := l.Unasked + l.NotLost
	for _, p := range l.Places {
		n += p.Count
	}
	return n
}

// Arrivals counts packets that matched and came or went, dropped or not.
type Arrivals struct {
	Type       string         `json:"type"`
	Schema     int            `json:"schema"`
	Time       time.Time      `json:"time"`
	Arrived    uint64         `json:"arrived"`
	Sent       uint64         `json:"sent"`
	Interfaces []ArrivalPlace `json:"interfaces,omitempty"`
	// Undecided may have matched: the expression looks at bytes of theirs that
	// could not be read.
	Undecided uint64 `json:"undecided,omitempty"`
	// LeftOut are the flags that say nothing about packets that are alive.
	LeftOut []string `json:"left_out,omitempty"`
}

// ArrivalPlace is one interface.
type ArrivalPlace struct {
	Netns   Netns  `json:"netns"`
	Index   uint32 `json:"index"`
	Name    string `json:"name"`
	Arrived uint64 `json:"arrived,omitempty"`
	Sent    uint64 `json:"sent,omitempty"`
}

// Sort puts the busiest first.
func (a *Arrivals) Sort() {
	slices.SortFunc(a.Interfaces, func(x, y ArrivalPlace) int {
		return cmp.Or(cmp.Compare(y.Arrived+y.Sent, x.Arrived+x.Sent), cmp.Compare(x.Name, y.Name),
			cmp.Compare(x.Netns.Inode, y.Netns.Inode), cmp.Compare(x.Index, y.Index))
	})
}

// Notice is something that the reader of the stream has to know to judge it,
// such as a probe that this kernel does not have.
type Notice struct {
	Type    string    `json:"type"`
	Schema  int       `json:"schema"`
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
	Hints   []string  `json:"hints,omitempty"` // what to do about it
}
