package output

import (
	"github.com/droptrace/droptrace/resolve/drop"
)

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
	Drop  *drop.Drop // the first of them; the same one each time
	Count uint64
}

// known is how many are told apart.
func (l *Lost) known() uint64 {
	n := l.Unasked + l.NotLost
	for _, p := range l.Places {
		n += p.Count
	}
	return n
}

// LossPlace is the JSON form of a LostPlace.
type LossPlace struct {
	Lost     uint64     `json:"lost"`
	Netns    drop.Netns `json:"netns"`
	Hook     string     `json:"hook,omitempty"`
	Verdict  string     `json:"verdict"`
	Cause    string     `json:"cause"`
	Reason   string     `json:"reason,omitempty"`
	Location string     `json:"location,omitempty"`
	Function string     `json:"function,omitempty"`
	Rule     *drop.Rule `json:"rule,omitempty"`
}

// NewLossPlace says n of them.
func NewLossPlace(d *drop.Drop, n uint64) LossPlace {
	return LossPlace{
		Lost: n, Netns: d.Netns, Hook: d.Hook, Verdict: d.Verdict, Cause: d.Cause,
		Reason: d.Reason, Location: d.Location, Function: d.Function, Rule: d.Rule,
	}
}
