package statement

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// element is one that was read, its key as the set holds it.
type element struct {
	ruleset.Element
	end bool // not an element: the first key behind an interval
}

// Add reads the elements of one NFT_MSG_NEWSETELEM and returns how many they
// were.
func (s *Set) Add(b []byte, table Table) (int, error) {
	n := 0
	a := nlattr.Walk(b)
	for a.Next() {
		if a.Type != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		a.Nested(func(a *nlattr.Attrs) {
			n++
			s.raw = append(s.raw, s.element(a, table))
		})
	}
	return n, a.Err()
}

func (s *Set) element(outer *nlattr.Attrs, table Table) element {
	var e element
	outer.Nested(func(a *nlattr.Attrs) {
		switch a.Type {
		case unix.NFTA_SET_ELEM_KEY:
			e.From = bytes.Clone(dataValue(a))
		case elemKeyEnd:
			e.To = bytes.Clone(dataValue(a))
		case unix.NFTA_SET_ELEM_DATA:
			s.data(&e, a, table)
		case unix.NFTA_SET_ELEM_FLAGS:
			flags := a.Uint32()
			e.end = flags&flagIntervalEnd != 0
			e.CatchAll = flags&flagCatchAll != 0
		case unix.NFTA_SET_ELEM_EXPIRATION:
			e.Expires = time.Duration(a.Uint64()) * time.Millisecond
		case unix.NFTA_SET_ELEM_USERDATA:
			e.Comment = elementComment(a.Data)
		case unix.NFTA_SET_ELEM_EXPR:
			e.expression(a)
		case elemExprs:
			a.Nested(e.expression)
		}
	})
	return e
}

// data is what a map holds for the element.
func (s *Set) data(e *element, a *nlattr.Attrs, table Table) {
	if !s.verdicts {
		e.Data = bytes.Clone(dataValue(a))
		return
	}
	v, err := verdictOf(a.Data, table)
	a.Bad = a.Bad || err != nil
	if v == nil && err == nil {
		e.Opaque = &ruleset.Opaque{Kind: "verdict", MayFail: true, MayDrop: true, MayAccept: true}
	}
	e.Verdict = v
}

// expression notes what an element's own expressions do: a limit that is used
// up ends the rule (nft_set_elem_update_expr).
func (e *element) expression(a *nlattr.Attrs) {
	name, _, ok := nlattr.Expression(a)
	if !ok {
		return
	}
	switch kind := string(name); kind {
	case "counter", "last":
	default:
		e.Opaque = &ruleset.Opaque{Kind: kind, Understood: stateful(name), MayFail: true, MayDrop: !stateful(name), Text: kind}
	}
}

// elementComment is the comment among an element's userdata, which are TLVs of
// user space (libnftnl: NFTNL_UDATA_SET_ELEM_COMMENT is 0).
func elementComment(b []byte) string {
	for len(b) >= 2 {
		typ, length := b[0], int(b[1])
		if b = b[2:]; length > len(b) {
			return ""
		}
		if typ == 0 {
			return string(nlattr.UntilNUL(b[:length]))
		}
		b = b[length:]
	}
	return ""
}

// intervals makes ranges of what a set of intervals holds: the first key of each
// and the first behind it. An interval whose end is missing goes to the next
// one's begin (maps of adjacent intervals leave it out), or to the last key.
func (s *Set) intervals() {
	const concatenated = unix.NFT_SET_INTERVAL | setConcatFlag
	if s.Flags&unix.NFT_SET_INTERVAL == 0 || s.Flags&concatenated == concatenated {
		for i := range s.raw {
			if e := &s.raw[i]; e.To == nil {
				e.To = e.From
			}
		}
		return
	}
	slices.SortStableFunc(s.raw, func(a, b element) int {
		if c := bytes.Compare(a.From, b.From); c != 0 {
			return c
		}
		// What ends at a key ends before what begins there.
		return rank(a) - rank(b)
	})
	kept := s.raw[:0]
	open := false
	for _, e := range s.raw {
		if e.CatchAll {
			kept = append(kept, e)
			continue
		}
		if open {
			kept[len(kept)-1].To = before(e.From)
			open = false
		}
		if e.end {
			continue
		}
		kept = append(kept, e)
		open = e.To == nil
	}
	if open {
		last := &kept[len(kept)-1]
		last.To = filled(len(last.From), 0xff)
	}
	s.raw = kept
}

func rank(e element) int {
	switch {
	case e.CatchAll:
		return 0
	case e.end:
		return 1
	}
	return 2
}

// before is the key before this one.
func before(key []byte) []byte {
	b := bytes.Clone(key)
	decrement(b)
	return b
}

// number is a big-endian number of up to 8 bytes.
func number(b []byte) uint64 {
	var full [8]byte
	if len(b) > 8 {
		b = b[len(b)-8:]
	}
	copy(full[8-len(b):], b)
	return binary.BigEndian.Uint64(full[:])
}
