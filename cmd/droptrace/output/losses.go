package output

import (
	"github.com/droptrace/droptrace/resolve/drop"
)

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
