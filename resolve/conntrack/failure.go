package conntrack

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
)

// Facts are what the record alone does not say.
type Facts struct {
	Hook    string               // the function that dropped, "" where it is not known
	SYN     bool                 // a TCP SYN
	Dropped bool                 // the packet was lost
	Table   *drop.ConntrackTable // now; nil where it could not be read
	HZ      int
	// Preempted: between the counting and the free the packet may have changed its
	// CPU, and what this CPU counted may be another's.
	Preempted bool
}

const (
	certain  = "certain"
	probable = "probable"
	unknown  = "unknown"

	hookUnseen = "which hook dropped it is not seen"

	// A table counts as full a little below its limit: it is read a moment
	// later than the packet died.
	nearlyFull = 0.95
)

// FailureOf tells the cause by what the kernel side saw. Only what a probe saw,
// or could not have missed, is certain.
func FailureOf(e *event.Event, c Facts) *drop.Failure {
	f := &e.Failure
	out := &failure{Cause: drop.CauseUnknown, Certainty: certain}
	if f.Other.Present == event.CTEntry {
		out.Other = entryOf(&f.Other, c.HZ)
	}
	switch f.Saw {
	case event.SawClash:
		out.Cause = clashOf(&e.CT, &f.Other)
	case event.SawClashResolved:
		out.Cause = drop.CauseClashResolved
	case event.SawFull:
		out.Cause = drop.CauseTableFull
	case event.SawEvicted:
		out.Cause = drop.CauseEarlyDrop
	case event.SawInvalid:
		// What conntrack calls invalid passes it: what it drops it counts.
		if f.Counted != 0 && f.Moved.Drop > 0 {
			out.byCounters(e, c)
		} else {
			out.invalid(e, c)
		}
	case event.SawRefused:
		out.Cause, out.Reason = drop.CauseHelper, reason(f.Reason[:])
	case event.SawOtherDevice:
		out.Cause = drop.CauseNATInterfaceChanged
		if !strings.HasPrefix(c.Hook, "nf_nat_") {
			out.Certainty = probable
			out.Note = hookUnseen
		}
	default:
		out.byCounters(e, c)
	}
	if out.Cause == drop.CauseTableFull || out.Cause == drop.CauseEarlyDrop {
		out.Table = c.Table
	}
	return (*drop.Failure)(out)
}

// failure is one whose cause is being found, or told.
type failure drop.Failure

// invalid is for a packet that a protocol's tracker complained of. The complaint
// alone does not prove that it was given no entry.
func (f *failure) invalid(e *event.Event, c Facts) {
	f.Cause = drop.CauseInvalid
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
func (f *failure) byCounters(e *event.Event, c Facts) {
	f.Certainty = probable
	m := &e.Failure.Moved
	switch {
	case e.CT.Present == event.CTEntry && e.CT.Status&netfilter.StatusDying != 0 && strings.HasPrefix(c.Hook, "nf_nat_"):
		f.Cause = drop.CauseNATInterfaceChanged
	case e.Failure.Counted == 0 && e.CT.Present == event.CTAbsent:
		f.Cause = drop.CauseInvalid
		f.Note = "the kernel's reason needs a probe" + KprobeAdvice()
	case e.Failure.Counted == 0:
		f.unknown("this kernel's counters cannot be read")
	case e.CT.Present == event.CTEntry && e.CT.Status&netfilter.StatusConfirmed == 0:
		f.confirm(e, m)
	case e.CT.Present == event.CTEntry:
		f.helper(e, m)
	default:
		f.allocate(e, m, c)
	}
	if c.Preempted && f.Certainty == certain && f.Cause != drop.CauseHelper { // which no counter tells
		f.Certainty, f.Note = probable, "another packet may have been counted at the same moment"
	}
}

// confirm is for a new entry that did not get into the table.
func (f *failure) confirm(e *event.Event, m *event.Moved) {
	silent := e.Failure.Hooked&event.HookedClash != 0 // nf_ct_resolve_clash was not called
	switch {
	case m.ChainTooLong > 0:
		f.Cause = drop.CauseChainTooLong
		if silent && m.ChainTooLong == 1 {
			f.Certainty = certain
		}
	case m.InsertFailed > 0 && m.Drop > 0 && !silent:
		f.Cause = drop.CauseClash
		f.Note = "told by the counters of this CPU, where no probe stands"
	case m.InsertFailed > 0 && m.Drop == 0:
		f.Cause = drop.CauseDying
		// Without a helper only __nf_conntrack_confirm can have dropped it, which
		// always counts: a clash or a chain would have moved another counter, too.
		switch {
		case e.Failure.AtHook == event.NotAtHook:
			f.Note = hookUnseen
		case m.InsertFailed == 1 && e.Failure.AtHook == event.AtHookPlain && e.CT.Status&netfilter.StatusSeqAdjust == 0:
			f.Certainty = certain
		default:
			f.Note = "or its helper refused it, or another entry was deleted"
		}
	case m.InsertFailed > 0 && e.CT.Status&netfilter.StatusDying != 0:
		f.Cause = drop.CauseDying
	default:
		f.helper(e, m)
	}
}

// helper is for an entry that is in the table, or was not refused by it.
func (f *failure) helper(e *event.Event, m *event.Moved) {
	found := e.CT.CTInfo == ctEstablished || e.CT.CTInfo == ctReply
	switch {
	case found && e.Failure.AtHook == event.AtHookHelped:
		// Of an entry that was found in the table nf_confirm asks nothing else.
		f.Cause, f.Certainty = drop.CauseHelper, certain
	case !found && e.CT.Status&netfilter.StatusDying != 0 && m.Drop > 0 && e.Failure.AtHook == event.AtHookPlain:
		f.Cause = drop.CauseDying
		f.Note = "its extensions were out of date when it had gone into the table"
	case e.CT.Status&netfilter.StatusHelper != 0, m.Drop > 0, e.Failure.AtHook != event.NotAtHook:
		f.Cause = drop.CauseHelper
	default:
		f.unknown("no counter of conntrack moved")
	}
}

// allocate is for a packet that was given no entry at all.
func (f *failure) allocate(e *event.Event, m *event.Moved, c Facts) {
	notFull := e.Failure.Hooked&event.HookedFull != 0 // early_drop did not fail
	full := c.Table != nil && c.Table.Max > 0 && float64(c.Table.Count) >= nearlyFull*float64(c.Table.Max)
	switch {
	case m.Drop == 0:
		f.unknown("no counter of conntrack moved")
	case full && !notFull:
		f.Cause = drop.CauseTableFull
	case c.SYN && m.Invalid > 0:
		f.Cause = drop.CauseTCPReopenRace
	case notFull:
		f.Cause = drop.CauseNoMemory
		// The tracker of TCP, which alone drops besides, counts the packet as invalid.
		if m.Drop == 1 && m.Invalid == 0 && e.Failure.AtHook != event.NotAtHook && c.Table != nil && !full {
			f.Certainty = certain
		}
	case c.Table != nil:
		f.Cause = drop.CauseNoMemory
		f.Note = "or the table was full for a moment"
	default:
		f.unknown("conntrack dropped it, and its limit could not be read")
	}
}

func (f *failure) unknown(note string) {
	f.Cause, f.Certainty, f.Note = drop.CauseUnknown, unknown, note
}

func entryOf(info *event.CTInfo, hz int) *drop.ConntrackEntry {
	e := &drop.ConntrackEntry{
		Status: netfilter.StatusNames(info.Status), Original: tuple(&info.Original), Reply: tuple(&info.Reply),
		Zone: info.Zone, Mark: info.Mark, Timeout: timeout(info, hz), NAT: nat(info),
	}
	if info.Original.Proto == protoTCP {
		e.TCPState = netfilter.TCPState(info.TCPState)
	}
	return e
}
