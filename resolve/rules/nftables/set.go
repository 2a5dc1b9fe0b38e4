package nftables

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// Attributes that x/sys/unix lacks.
const (
	setExpr   = 17 // NFTA_SET_EXPR
	setExprs  = 18 // NFTA_SET_EXPRESSIONS, from 5.11
	elemExprs = 11 // NFTA_SET_ELEM_EXPRESSIONS, from 5.11
)

// setMessage is one NFT_MSG_NEWSET: a set or map without its elements.
type setMessage struct {
	table, name []byte // alias the message
	flags       uint32
	objectType  uint32
	size        uint32 // that was promised, in elements; 0 for none
	// declares: each element must carry the set's own expressions and no
	// other. drops: one of them can drop.
	declares, drops bool
}

func decodeSet(b []byte) (setMessage, error) {
	var s setMessage
	add := func(a *nlattr.Attrs) {
		if name, _, ok := nlattr.Expression(a); ok {
			s.declares = true
			s.drops = s.drops || !stateful(name)
		}
	}
	a := nlattr.Walk(b)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_SET_TABLE:
			s.table = a.Text()
		case unix.NFTA_SET_NAME:
			s.name = a.Text()
		case unix.NFTA_SET_FLAGS:
			s.flags = a.Uint32()
		case unix.NFTA_SET_OBJ_TYPE:
			s.objectType = a.Uint32()
		case unix.NFTA_SET_DESC:
			a.Nested(func(a *nlattr.Attrs) {
				if a.Type == unix.NFTA_SET_DESC_SIZE {
					s.size = a.Uint32()
				}
			})
		case setExpr:
			add(&a)
		case setExprs:
			a.Nested(add)
		}
	}
	return s, a.Err()
}

// decodeElements adds to o what the elements of one NFT_MSG_NEWSETELEM can come
// to, and returns how many they were.
func decodeElements(b []byte, o *outcome) (int, error) {
	n := 0
	a := nlattr.Walk(b)
	for a.Next() {
		if a.Type != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		a.Nested(func(a *nlattr.Attrs) {
			n++
			a.Nested(func(a *nlattr.Attrs) { o.element(a) })
		})
	}
	return n, a.Err()
}

// element reads one attribute of an element.
func (o *outcome) element(a *nlattr.Attrs) {
	add := func(a *nlattr.Attrs) {
		if name, _, ok := nlattr.Expression(a); ok && !stateful(name) {
			o.canDrop = true
		}
	}
	switch a.Type {
	case unix.NFTA_SET_ELEM_DATA:
		// Data of another kind than a verdict means nothing here.
		if in := nlattr.Walk(a.Data); in.Next() && in.Type == unix.NFTA_DATA_VERDICT {
			o.verdict(a.Data, a)
		}
	case unix.NFTA_SET_ELEM_EXPR:
		add(a)
	case elemExprs:
		a.Nested(add)
	}
}
