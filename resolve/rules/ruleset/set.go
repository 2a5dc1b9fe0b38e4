package ruleset

import "time"

// Set is a set or map of nft, or an ipset.
type Set struct {
	// Table is nil for an ipset, which is of the whole namespace.
	Table *Table
	// Name as nft spells it, without @; __set0 and the like where Anonymous.
	Name      string
	Anonymous bool
	IPSet     string // the ipset's type, hash:ip,port; empty for nft's
	// Complete is false where the elements could not all be read: whether a
	// value is in the set cannot be known then, unless it is among them.
	Complete bool
	// Dynamic sets get elements from packets: what was read is old.
	Dynamic bool
	// Holes: elements took others out (ipset's nomatch), which Elements lack.
	Holes    bool
	Elements []Element
	// Ask asks the kernel whether the set holds a value, the fields' bytes behind
	// each other. It is for sets that are too large to be read, whose Elements are
	// empty; nil for others. It may be called by several goroutines.
	Ask func(value []byte) Found
}

// Element is one element: a value, an interval, or for a map its result too.
type Element struct {
	Range
	Verdict *Verdict // of a verdict map
	Data    []byte   // of a map to data
	// NoMatch: values in it are not in the set (ipset's nomatch).
	NoMatch bool
	// Expires is the time left when it was read, 0 where it stays.
	Expires time.Duration
	// Opaque is a statement of the element that has a say (a limit); nil
	// for none.
	Opaque *Opaque
	// CatchAll is nft's `*`: what no other element holds.
	CatchAll bool
	Comment  string
}
