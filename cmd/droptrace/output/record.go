// Package output prints what droptrace found: as text for people, as JSON for
// programs, and as the totals that close a run.
//
// Printers collect bytes and write them on Flush, one write where one does. They
// are not safe for concurrent use: one goroutine owns the terminal.
package output

import (
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// The types of record besides "drop".
const (
	typeLoss     = "loss"
	typeNotice   = "notice"
	typeArrivals = "arrivals"
	typeFolded   = "folded"
)

// Loss is a record of drops that were counted in the kernel and could not be
// delivered: they are in no other record.
type Loss struct {
	Type   string    `json:"type"`
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`
	Lost   uint64    `json:"lost"`  // since the last loss record
	Total  uint64    `json:"total"` // since the start
	// Places tells them apart, as far as they were when this was written: what is
	// missing here comes with the next record, or is not known.
	Places []LossPlace `json:"places,omitempty"`
}

// Scope says what the drops of a Folded have in common.
type Scope string

const (
	ScopeFlow Scope = "flow" // endpoints, place and verdict
	ScopeRule Scope = "rule" // place and verdict
	ScopeAll  Scope = "all"  // only the time
)

// Folded stands for Count drops that were not shown one by one.
type Folded struct {
	Scope Scope
	Count uint64
	// Drop is the first of them, in full.
	Drop *drop.Drop
	// Last is the time of the last of them.
	Last time.Time
	// Shown is true where an equal drop was shown in the same window, so that
	// these are only more of it.
	Shown bool
}

// foldedRecord is the JSON form of a Folded whose drops differ in their flow.
// Drops of one flow are a drop record with repeats instead.
type foldedRecord struct {
	Type     string      `json:"type"`
	Schema   int         `json:"schema"`
	Time     time.Time   `json:"time"`  // of the first
	Until    time.Time   `json:"until"` // of the last
	Scope    Scope       `json:"scope"`
	Count    uint64      `json:"count"`
	Netns    *drop.Netns `json:"netns,omitempty"`
	Hook     string      `json:"hook,omitempty"`
	Verdict  string      `json:"verdict,omitempty"`
	Cause    string      `json:"cause,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	Location string      `json:"location,omitempty"`
	Rule     *drop.Rule  `json:"rule,omitempty"`
}

// record says only what all of the drops have in common.
func (f *Folded) record() foldedRecord {
	d := f.Drop
	r := foldedRecord{
		Type: typeFolded, Schema: drop.Schema,
		Time: d.Time, Until: f.Last, Scope: f.Scope, Count: f.Count,
	}
	if f.Scope != ScopeAll {
		r.Netns, r.Hook, r.Verdict, r.Cause = &d.Netns, d.Hook, d.Verdict, d.Cause
		r.Reason, r.Location, r.Rule = d.Reason, d.Location, d.Rule
	}
	return r
}
