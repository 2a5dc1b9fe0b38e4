package statement

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Attributes that x/sys/unix lacks.
const (
	setExpr         = 17   // NFTA_SET_EXPR
	setExprs        = 18   // NFTA_SET_EXPRESSIONS, from 5.11
	setConcat       = 2    // NFTA_SET_DESC_CONCAT, from 5.6
	setConcatFlag   = 0x80 // NFT_SET_CONCAT
	setField        = 1    // NFTA_LIST_ELEM
	setFieldLen     = 1    // NFTA_SET_FIELD_LEN
	elemKeyEnd      = 10   // NFTA_SET_ELEM_KEY_END, from 5.6
	elemExprs       = 11   // NFTA_SET_ELEM_EXPRESSIONS, from 5.11
	flagCatchAll    = 2    // NFT_SET_ELEM_CATCHALL, from 5.13
	flagIntervalEnd = 1    // NFT_SET_ELEM_INTERVAL_END
	verdictType     = 0xffffff00
)

// Set is a set or map, with its elements once they were read.
type Set struct {
	Table      string
	Name       string
	Flags      uint32 // NFT_SET_*
	KeyLength  uint32 // bytes
	DataLength uint32
	ObjectType uint32
	// Size is how many elements it was made for, 0 where that was not said.
	Size uint32

	verdicts bool // it is a verdict map
	fields   []int
	drops    bool // the expressions that its elements carry can drop
	owner    *ruleset.Table
	uses     []use
	raw      []element
	ask      func(key []byte) ruleset.Found // nil where the elements were read
}

// use is the set as the rules with one layout see it.
type use struct {
	layout Layout
	set    *ruleset.Set
}

// DecodeSet reads the attributes of a NFT_MSG_NEWSET.
func DecodeSet(b []byte) (*Set, error) {
	s := &Set{}
	add := func(a *nlattr.Attrs) {
		if name, _, ok := nlattr.Expression(a); ok {
			s.drops = s.drops || !stateful(name)
		}
	}
	a := nlattr.Walk(b)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_SET_TABLE:
			s.Table = string(a.Text())
		case unix.NFTA_SET_NAME:
			s.Name = string(a.Text())
		case unix.NFTA_SET_FLAGS:
			s.Flags = a.Uint32()
		case unix.NFTA_SET_KEY_LEN:
			s.KeyLength = a.Uint32()
			a.Bad = a.Bad || s.KeyLength > maxWidth
		case unix.NFTA_SET_DATA_TYPE:
			s.verdicts = a.Uint32() == verdictType
		case unix.NFTA_SET_DATA_LEN:
			s.DataLength = a.Uint32()
		case unix.NFTA_SET_OBJ_TYPE:
			s.ObjectType = a.Uint32()
		case unix.NFTA_SET_DESC:
			a.Nested(s.description)
		case setExpr:
			add(&a)
		case setExprs:
			a.Nested(add)
		}
	}
	return s, a.Err()
}

// description reads how large the set may get and what its keys are made of.
func (s *Set) description(a *nlattr.Attrs) {
	switch a.Type {
	case unix.NFTA_SET_DESC_SIZE:
		s.Size = a.Uint32()
	case setConcat:
		a.Nested(func(a *nlattr.Attrs) {
			if a.Type != setField {
				return
			}
			a.Nested(func(a *nlattr.Attrs) {
				if a.Type == setFieldLen {
					s.fields = append(s.fields, int(a.Uint32()&0xff))
				}
			})
		})
	}
}

// stateful reports whether an expression that elements can carry never drops.
func stateful(name []byte) bool {
	switch string(name) {
	case "counter", "last", "limit", "quota":
		return true
	}
	return false
}

// mayDrop reports whether asking the set can end in a drop.
func (s *Set) mayDrop() bool { return s.drops }

func (s *Set) anonymous() bool { return s.Flags&unix.NFT_SET_ANONYMOUS != 0 }

// Used reports whether a rule that was decoded asks the set.
func (s *Set) Used() bool { return len(s.uses) > 0 }

// as is the set to rules that ask with the layout. Its elements come later.
func (s *Set) as(l Layout) *ruleset.Set {
	for _, u := range s.uses {
		if u.layout.equal(l) {
			return u.set
		}
	}
	set := &ruleset.Set{
		Table: s.owner, Name: s.Name, Anonymous: s.anonymous(),
		Dynamic: s.Flags&unix.NFT_SET_EVAL != 0,
	}
	s.uses = append(s.uses, use{layout: l, set: set})
	return set
}

// Own says whose set it is.
func (s *Set) Own(t *ruleset.Table) { s.owner = t }

// plain is the layout of a set that no rule asks: its bytes as they are.
func (s *Set) plain() Layout {
	if len(s.fields) < 2 {
		return Layout{{Width: int(s.KeyLength), Size: int(s.KeyLength)}}
	}
	var l Layout
	for _, n := range s.fields {
		l = append(l, Slot{Width: n, Size: n})
	}
	return l
}

// Large has the set be asked, key by key, instead of read: what was read of it is
// forgotten. A verdict map cannot be.
func (s *Set) Large(ask func(key []byte) ruleset.Found) {
	s.raw = nil
	if !s.verdicts {
		s.ask = ask
	}
}

// Cut is for a set of which not all elements were read: an interval may lack its end,
// and is forgotten.
func (s *Set) Cut() {
	if s.Flags&unix.NFT_SET_INTERVAL != 0 {
		s.raw = nil
	}
}

// IsVerdictMap reports whether the set's elements are verdicts.
func (s *Set) IsVerdictMap() bool { return s.verdicts }

// askAs asks for the fields' values of a layout.
func (s *Set) askAs(l Layout) func(values []byte) ruleset.Found {
	return func(values []byte) ruleset.Found {
		key, ok := l.key(values)
		if !ok || len(key) > maxWidth {
			return ruleset.MaybeThere
		}
		// A concatenation's last field fills its registers, too, where the set's
		// keys do.
		for len(key) < int(s.KeyLength) {
			key = append(key, 0)
		}
		return s.ask(key)
	}
}

// Settle gives the elements that were read to all who ask the set, and returns
// the set as the table shows it. complete is false where not all were read.
func (s *Set) Settle(complete bool) *ruleset.Set {
	if len(s.uses) == 0 {
		s.as(s.plain())
	}
	if s.ask != nil {
		for _, u := range s.uses {
			u.set.Ask = s.askAs(u.layout)
		}
	}
	s.intervals()
	for _, u := range s.uses {
		u.set.Complete = complete
		for _, e := range s.raw {
			out := e.Element
			if !e.CatchAll {
				low, high, ok := u.layout.span(e.From, e.To)
				if !ok {
					// Its bytes are no value of these fields, or several in an
					// order that is not theirs. Only where bits were shifted out
					// is it sure that no packet has such.
					u.set.Complete = u.set.Complete && u.layout.ordered() && u.layout.shifted()
					continue
				}
				out.From, out.To = low, high
			}
			u.set.Elements = append(u.set.Elements, out)
		}
	}
	for _, u := range s.uses {
		slices.SortFunc(u.set.Elements, func(a, b ruleset.Element) int { return bytes.Compare(a.From, b.From) })
	}
	s.raw = nil
	return s.uses[0].set
}
