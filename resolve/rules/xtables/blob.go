package xtables

import (
	"errors"
	"sort"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ErrMalformed is returned by [Parse] for bytes that are no table.
var ErrMalformed = errors.New("malformed table")

// TableID names one table of one namespace.
type TableID struct {
	Family string // ip or ip6
	Name   string // filter, nat, mangle, raw, security
}

// Info is what struct ipt_getinfo says of a table. Arrays are by hook: NF_INET_*
// of uapi linux/netfilter.h, prerouting 0 to postrouting 4. The fields are in the
// struct's order: they are read as one.
type Info struct {
	ValidHooks uint32    // bit per hook
	HookEntry  [5]uint32 // offset of each built-in chain's first entry
	Underflow  [5]uint32 // and of its last, the policy
	Number     uint32    // of entries
	Size       uint32    // of the entries, in bytes
}

// Blob is one table at one time. It is not changed after it was read.
type Blob struct {
	ID TableID
	Info
	// Table has the built-in chains first, by hook, then the user-defined ones
	// as the blob has them, which is how iptables lists them.
	Table   *ruleset.Table
	Entries []Entry // by offset
	layout  layout
	raw     []byte // the entries with what the kernel writes to zeroed
}

// Entry is one ipt_entry or ip6t_entry.
type Entry struct {
	// Offset from the first entry, in bytes: the same in the kernel's own blob.
	Offset uint32
	// TargetOffset and NextOffset count from the entry's first byte.
	TargetOffset, NextOffset uint16
	// Head is the entry's fixed part (112 bytes, 168 for ip6) with the fields
	// that the kernel writes to (nfcache, comefrom, counters) zeroed.
	Head []byte

	// Chain that the entry belongs to; nil for the end marker.
	Chain *ruleset.Chain
	// Rule is nil for what no listing shows as one: policies, heads and tails of
	// user chains, the end marker.
	Rule   *ruleset.Rule
	Policy bool

	// Target is the target's name: "" (with Standard) for a verdict or a jump,
	// ERROR for the head of a user chain and the end marker.
	Target   string
	Standard bool
	// Verdict of a standard target: the offset it jumps to, which behind a rule
	// without target is the next entry's, or -verdict-1; -5 is RETURN.
	Verdict int32

	Packets uint64
	Bytes   uint64
	// Hooks has a bit per hook from which packets can come to the entry.
	Hooks uint8
	// MayHotdrop is true where looking whether a packet matches can drop it. The
	// entry's counter does not move then.
	MayHotdrop bool

	unconditional bool  // every packet matches
	comefrom      uint8 // Hooks as the kernel has them
}

const (
	verdictDrop   = -1 // -NF_DROP - 1
	verdictAccept = -2 // -NF_ACCEPT - 1
	verdictQueue  = -4 // -NF_QUEUE - 1
	verdictReturn = -5 // XT_RETURN, which is also -NF_REPEAT - 1
)

// Drops reports whether the entry's counter moves only for packets about to
// die: a rule or policy with verdict DROP, or target REJECT, which answers and
// then always drops. Other targets that can drop let packets live, too.
func (e *Entry) Drops() bool {
	if e.Standard {
		return e.Verdict == verdictDrop
	}
	return e.Target == rejectTarget
}

// end is the offset of the entry behind.
func (e *Entry) end() uint32 { return e.Offset + uint32(e.NextOffset) }

// At finds the entry that begins at an offset.
func (b *Blob) At(offset uint32) (*Entry, bool) {
	i, ok := b.index(offset)
	if !ok {
		return nil, false
	}
	return &b.Entries[i], true
}

// index is At for the number of the entry.
func (b *Blob) index(offset uint32) (int, bool) {
	i := b.holding(offset)
	return i, i < len(b.Entries) && b.Entries[i].Offset == offset
}

// Holding finds the entry that an offset lies in, as a target's data does.
func (b *Blob) Holding(offset uint32) (*Entry, bool) {
	i := b.holding(offset)
	if i == len(b.Entries) {
		return nil, false
	}
	return &b.Entries[i], true
}

func (b *Blob) holding(offset uint32) int {
	return sort.Search(len(b.Entries), func(i int) bool { return b.Entries[i].end() > offset })
}

// SameHead reports whether kernel, bytes read from the kernel's blob at the
// entry's offset, begins with this entry's head. Rules that differ only in
// their matches or targets can have the same head.
func (b *Blob) SameHead(e *Entry, kernel []byte) bool {
	return len(kernel) >= len(e.Head) && b.layout.sameHead(e.Head, kernel)
}
