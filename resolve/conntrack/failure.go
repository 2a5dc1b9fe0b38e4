package conntrack

import (
	"strings"

	"github.com/droptrace/droptrace/tracer/event"
)

// Cause is why a packet failed to get its conntrack entry, or lost it.
type Cause string

const (
	TableFull           Cause = "table-full"
	NoMemory            Cause = "no-memory"
	EarlyDrop           Cause = "early-drop"            // a connection was evicted for another
	SameFlowRace        Cause = "same-flow-race"        // two packets of one flow at once
	NATPortCollision    Cause = "nat-port-collision"    // two flows, one translated tuple
	Clash               Cause = "clash"                 // one of these two
	ClashResolved       Cause = "clash-resolved"        // nothing was lost
	ChainTooLong        Cause = "chain-too-long"        // 5.15 and later
	Dying               Cause = "dying"                 // deleted before it was confirmed
	Helper              Cause = "helper"                // a helper, or its sequence adjustment
	NATInterfaceChanged Cause = "nat-interface-changed" // a masqueraded flow got another route
	TCPReopenRace       Cause = "tcp-reopen-race"
	Invalid             Cause = "invalid"
	UnknownCause        Cause = "unknown"
)

// Failure is what is known of one. What is not known is zero and absent from
// JSON.
type Failure struct {
	Cause     Cause  `json:"cause"`
	Certainty string `json:"certainty"`        // certain probable unknown
	Reason    string `json:"reason,omitempty"` // of invalid and helper: the kernel's own words
	// Other is the entry that was there first, or that was evicted.
	Other *Entry `json:"other,omitempty"`
	Table *Table `json:"table,omitempty"` // of a table that is full
	Pool  *Pool  `json:"pool,omitempty"`  // of a translated port that was taken
	Note  string `json:"note,omitempty"`  // why it is not certain
}

// Entry is a conntrack entry that is not the packet's own.
type Entry struct {
	Status   []string `json:"status,omitempty"`
	Original *Tuple   `json:"original,omitempty"`
	Reply    *Tuple   `json:"reply,omitempty"`
	Zone     uint16   `json:"zone,omitempty"`
	Mark     uint32   `json:"mark,omitempty"`
	TCPState string   `json:"tcp_state,omitempty"`
	Timeout  *int     `json:"timeout,omitempty"` // seconds
	NAT      []string `json:"nat,omitempty"`
}

// Table says how full a conntrack table is.
type Table struct {
	Count   uint64 `json:"count"`
	Max     uint64 `json:"max"`
	Buckets uint64 `json:"buckets,omitempty"`
	// Growth in entries a second, less than 0 where it empties. Absent until
	// it was looked at twice.
	Growth *int `json:"growth,omitempty"`
}

// Pool says which of an address's ports are in use towards a destination.
type Pool struct {
	Address     string `json:"address"`
	Destination string `json:"destination"` // address:port
	Protocol    string `json:"protocol"`
	InUse       int    `json:"in_use"`
	Low         uint16 `json:"low"` // of the ports in use
	High        uint16 `json:"high"`
}

// Facts are what the record alone does not say.
type Facts struct {
	Hook    string // the function that dropped, "" where it is not known
	SYN     bool   // a TCP SYN
	Dropped bool   // the packet was lost
	Table   *Table // now; nil where it could not be read
	HZ      int
}

const (
	certain  = "certain"
	probable = "probable"
	unknown  = "unknown"

	statusSeqAdjust = 1 << 6
	statusDying     = 1 << 9
	statusHelper    = 1 << 13

	hookUnseen = "which hook dropped it is not seen"

	// A table counts as full a little below its limit: it is read a moment
	// later than the packet died.
	nearlyFull = 0.95
)

// FailureOf tells the cause by what the kernel side saw. Only what a probe saw,
// or could not have missed, is certain.
func FailureOf(e *event.Event, c Facts) *Failure {
	f := &e.Failure
	out := &Failure{Cause: UnknownCause, Certainty: certain}
	if f.Other.Present == event.CTEntry {
		out.Other = entryOf(&f.Other, c.HZ)
	}
	switch f.Saw {
	case event.SawClash:
		out.Cause = clashOf(&e.CT, &f.Other)
	case event.SawClashResolved:
		out.Cause = ClashResolved
	case event.SawFull:
		out.Cause = TableFull
	case event.SawEvicted:
		out.Cause = EarlyDrop
	case event.SawInvalid:
		// What conntrack calls invalid passes it: what it drops it counts.
		if f.Counted != 0 && f.Moved.Drop > 0 {
			out.byCounters(e, c)
		} else {
			out.invalid(e, c)
		}
	case event.SawRefused:
		out.Cause, out.Reason = Helper, reason(f.Reason[:])
	case event.SawOtherDevice:
		out.Cause = NATInterfaceChanged
		if !strings.HasPrefix(c.Hook, "nf_nat_") {
			out.Certainty = probable
			out.Note = hookUnseen
		}
	default:
		out.byCounters(e, c)
	}
	if out.Cause == TableFull || out.Cause == EarlyDrop {
		out.Table = c.Table
	}
	return out
}

// invalid is for a packet that a protocol's tracker complained of. The complaint
// alone does not prove that it was given no entry.
func (f *Failure) invalid(e *event.Event, c Facts) {
	f.Cause = Invalid
	f.Reason = reason(e.Failure.Reason[:])
	if !c.Dropped {
		f.Certainty = probable
		f.Note = "the kernel complained; whether it then called the packet invalid is not seen"
	} else if e.Failure.AtHook != event.NotAtHook {
		f.Certainty = probable
		f.Note = "conntrack itself dropped it"
	}
}

// reason makes a format string readable: its numbers are not known.
func reason(raw []byte) string {
	text, _, _ := strings.Cut(string(raw), "\x00")
	var words []string
	for word := range strings.FieldsSeq(text) {
		if !strings.Contains(word, "%") {
			words = append(words, word)
		}
	}
	return strings.TrimSuffix(strings.Join(words, " "), ":")
}

// byCounters decides by what moved on this CPU and by what the probes that stood
// did not see.
func (f *Failure) byCounters(e *event.Event, c Facts) {
	f.Certainty = probable
	m := &e.Failure.Moved
	switch {
	case e.CT.Present == event.CTEntry && e.CT.Status&statusDying != 0 && strings.HasPrefix(c.Hook, "nf_nat_"):
		f.Cause = NATInterfaceChanged
	case e.Failure.Counted == 0 && e.CT.Present == event.CTAbsent:
		f.Cause = Invalid
		f.Note = "the kernel's reason needs a probe" + KprobeAdvice()
	case e.Failure.Counted == 0:
		f.unknown("this kernel's counters cannot be read")
	case e.CT.Present == event.CTEntry && e.CT.Status&statusConfirmed == 0:
		f.confirm(e, m)
	case e.CT.Present == event.CTEntry:
		f.helper(e, m)
	default:
		f.allocate(e, m, c)
	}
}

// confirm is for a new entry that did not get into the table.
func (f *Failure) confirm(e *event.Event, m *event.Moved) {
	silent := e.Failure.Hooked&event.HookedClash != 0 // nf_ct_resolve_clash was not called
	switch {
	case m.ChainTooLong > 0:
		f.Cause = ChainTooLong
		if silent && m.ChainTooLong == 1 {
			f.Certainty = certain
		}
	case m.InsertFailed > 0 && m.Drop > 0 && !silent:
		f.Cause = Clash
		f.Note = "told by the counters of this CPU, where no probe stands"
	case m.InsertFailed > 0 && m.Drop == 0:
		f.Cause = Dying
		// Without a helper only __nf_conntrack_confirm can have dropped it, which
		// always counts: a clash or a chain would have moved another counter, too.
		switch {
		case e.Failure.AtHook == event.NotAtHook:
			f.Note = hookUnseen
		case m.InsertFailed == 1 && e.Failure.AtHook == event.AtHookPlain && e.CT.Status&statusSeqAdjust == 0:
			f.Certainty = certain
		default:
			f.Note = "or its helper refused it, or another entry was deleted"
		}
	case m.InsertFailed > 0 && e.CT.Status&statusDying != 0:
		f.Cause = Dying
	default:
		f.helper(e, m)
	}
}

// helper is for an entry that is in the table, or was not refused by it.
func (f *Failure) helper(e *event.Event, m *event.Moved) {
	found := e.CT.CTInfo == ctEstablished || e.CT.CTInfo == ctReply
	switch {
	case found && e.Failure.AtHook == event.AtHookHelped:
		// Of an entry that was found in the table nf_confirm asks nothing else.
		f.Cause, f.Certainty = Helper, certain
	case !found && e.CT.Status&statusDying != 0 && m.Drop > 0 && e.Failure.AtHook == event.AtHookPlain:
		f.Cause = Dying
		f.Note = "its extensions were out of date when it had gone into the table"
	case e.CT.Status&statusHelper != 0, m.Drop > 0, e.Failure.AtHook != event.NotAtHook:
		f.Cause = Helper
	default:
		f.unknown("no counter of conntrack moved")
	}
}

// allocate is for a packet that was given no entry at all.
func (f *Failure) allocate(e *event.Event, m *event.Moved, c Facts) {
	notFull := e.Failure.Hooked&event.HookedFull != 0 // early_drop did not fail
	full := c.Table != nil && c.Table.Max > 0 && float64(c.Table.Count) >= nearlyFull*float64(c.Table.Max)
	switch {
	case m.Drop == 0:
		f.unknown("no counter of conntrack moved")
	case full && !notFull:
		f.Cause = TableFull
	case c.SYN && m.Invalid > 0:
		f.Cause = TCPReopenRace
	case notFull:
		f.Cause = NoMemory
		// The tracker of TCP, which alone drops besides, counts the packet as invalid.
		if m.Drop == 1 && m.Invalid == 0 && e.Failure.AtHook != event.NotAtHook && c.Table != nil && !full {
			f.Certainty = certain
		}
	case c.Table != nil:
		f.Cause = NoMemory
		f.Note = "or the table was full for a moment"
	default:
		f.unknown("conntrack dropped it, and its limit could not be read")
	}
}

func (f *Failure) unknown(note string) {
	f.Cause, f.Certainty, f.Note = UnknownCause, unknown, note
}

func entryOf(info *event.CTInfo, hz int) *Entry {
	e := &Entry{
		Status: Status(info.Status), Original: tuple(&info.Original), Reply: tuple(&info.Reply),
		Zone: info.Zone, Mark: info.Mark, Timeout: timeout(info, hz), NAT: nat(info),
	}
	if info.Original.Proto == protoTCP {
		e.TCPState = TCPState(info.TCPState)
	}
	return e
}
