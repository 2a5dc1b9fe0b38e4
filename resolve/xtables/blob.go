// Package xtables reads iptables-legacy and ip6tables-legacy (x_tables): the
// blob of entries as the kernel evaluates it, so that an entry's offset, all that
// a drop record knows, becomes chain and rule number.
//
// Looking changes nothing: a table that is not there is not asked for, because
// asking would create it.
package xtables

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/droptrace/droptrace/resolve/ruleset"
)

// TableID names one table of one namespace.
type TableID struct {
	Family string // ip or ip6
	Name   string // filter, nat, mangle, raw, security
}

// Info is struct ipt_getinfo (uapi linux/netfilter_ipv4/ip_tables.h).
type Info struct {
	Name       string
	ValidHooks uint32
	HookEntry  [5]uint32
	Underflow  [5]uint32
	Number     uint32 // of entries
	Size       uint32 // in bytes
}

// Entry is one ipt_entry or ip6t_entry.
type Entry struct {
	Offset uint32
	// Head is the entry's fixed part (112 bytes, 168 for ip6) with the fields
	// that the kernel writes to (nfcache, comefrom, counters) zeroed.
	Head     []byte
	Next     uint32         // offset of the entry behind it
	Chain    *ruleset.Chain // nil for the end marker
	Rule     *ruleset.Rule  // nil for policies and chain heads
	Policy   bool
	Standard bool  // a verdict or a jump
	Verdict  int32 // of a standard target: >= 0 is a jump's offset
	Target   string
	Packets  uint64
	Bytes    uint64
	Hooks    uint8 // bit per hook from which packets reach it

	head string // of a user chain: its name
}

// Drops reports whether the entry's counter moves only for packets about to die.
func (e *Entry) Drops() bool {
	if e.Standard {
		return e.Verdict == verdictDrop
	}
	return e.Target == "REJECT"
}

// Blob is one table at one time.
type Blob struct {
	ID      TableID
	Info    Info
	Table   *ruleset.Table
	Entries []Entry
	// Digest is that of all entries without what the kernel changes: equal
	// digests are equal rules.
	Digest [sha256.Size]byte
}

// ErrMalformed is returned by Parse for bytes that are no table.
var ErrMalformed = errors.New("malformed table")

// Layout of the 64-bit kernel structures, host byte order.
const (
	entryHead4 = 112 // struct ipt_entry
	entryHead6 = 168 // struct ip6t_entry
	targetHead = 32  // struct xt_entry_target: u16 size, char name[29], u8 revision

	verdictDrop   = -1 // -NF_DROP - 1
	verdictReturn = -5 // XT_RETURN, also of -NF_REPEAT - 1

	errorTarget = "ERROR" // XT_ERROR_TARGET: a user chain's head, or the end
)

// layout is where an entry keeps what.
type layout struct{ head, nfcache, target, next, comefrom, counters int }

func layoutOf(family string) layout {
	if family == "ip6" {
		return layout{entryHead6, 136, 140, 142, 144, 152}
	}
	return layout{entryHead4, 84, 88, 90, 92, 96}
}

// Parse reads a table as IPT_SO_GET_ENTRIES returns it.
func Parse(id TableID, info Info, raw []byte) (*Blob, error) {
	b := &Blob{ID: id, Info: info, Table: &ruleset.Table{
		Engine: ruleset.IPTablesLegacy, Family: id.Family, Name: id.Name,
	}}
	if err := b.parseEntries(raw); err != nil {
		return nil, fmt.Errorf("table %s: %w", id.Name, err)
	}
	if err := b.nameChains(); err != nil {
		return nil, fmt.Errorf("table %s: %w", id.Name, err)
	}
	b.reach()
	return b, nil
}

func (b *Blob) parseEntries(raw []byte) error {
	l := layoutOf(b.ID.Family)
	digest := sha256.New()
	defer func() { digest.Sum(b.Digest[:0]) }()
	for at := 0; at < len(raw); {
		if len(raw)-at < l.head {
			return fmt.Errorf("entry at %d cut short: %w", at, ErrMalformed)
		}
		target := int(binary.NativeEndian.Uint16(raw[at+l.target:]))
		next := int(binary.NativeEndian.Uint16(raw[at+l.next:]))
		if target < l.head || next < target+targetHead || next > len(raw)-at {
			return fmt.Errorf("entry at %d: offsets %d, %d: %w", at, target, next, ErrMalformed)
		}
		e := Entry{Offset: uint32(at), Next: uint32(at + next), Head: head(l, raw[at:at+l.head])}
		e.Packets = binary.NativeEndian.Uint64(raw[at+l.counters:])
		e.Bytes = binary.NativeEndian.Uint64(raw[at+l.counters+8:])
		digest.Write(e.Head)
		digest.Write(raw[at+l.head : at+next])
		t := raw[at+target : at+next]
		e.Target = cString(t[2 : 2+29])
		if e.Target == "" && len(t) >= targetHead+4 {
			e.Standard = true
			e.Verdict = int32(binary.NativeEndian.Uint32(t[targetHead:]))
		}
		if e.Target == errorTarget { // struct xt_error_target: errorname behind the head
			e.head = cString(t[targetHead:])
		}
		b.Entries = append(b.Entries, e)
		at += next
	}
	return nil
}

// head copies an entry's fixed part without what the kernel changes.
func head(l layout, raw []byte) []byte {
	h := bytes.Clone(raw)
	clear(h[l.nfcache : l.nfcache+4])
	clear(h[l.comefrom : l.comefrom+4])
	clear(h[l.counters : l.counters+16])
	return h
}

// SameHead compares the head with the first bytes of an entry in the kernel.
func (b *Blob) SameHead(e *Entry, kernel []byte) bool {
	l := layoutOf(b.ID.Family)
	return len(kernel) >= l.head && bytes.Equal(e.Head, head(l, kernel[:l.head]))
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// At finds the entry that begins at an offset.
func (b *Blob) At(offset uint32) (*Entry, bool) {
	i := sort.Search(len(b.Entries), func(i int) bool { return b.Entries[i].Offset >= offset })
	if i == len(b.Entries) || b.Entries[i].Offset != offset {
		return nil, false
	}
	return &b.Entries[i], true
}

// Holding finds the entry that an offset lies in.
func (b *Blob) Holding(offset uint32) (*Entry, bool) {
	i := sort.Search(len(b.Entries), func(i int) bool { return b.Entries[i].Next > offset })
	if i == len(b.Entries) {
		return nil, false
	}
	return &b.Entries[i], true
}
