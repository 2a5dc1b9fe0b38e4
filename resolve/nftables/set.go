package nftables

import "golang.org/x/sys/unix"

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
	add := func(a *attrs) {
		if name, _, ok := splitExpression(a); ok {
			s.declares = true
			s.drops = s.drops || !stateful(name)
		}
	}
	a := walk(b)
	for a.next() {
		switch a.typ {
		case unix.NFTA_SET_TABLE:
			s.table = a.text()
		case unix.NFTA_SET_NAME:
			s.name = a.text()
		case unix.NFTA_SET_FLAGS:
			s.flags = a.uint32()
		case unix.NFTA_SET_OBJ_TYPE:
			s.objectType = a.uint32()
		case unix.NFTA_SET_DESC:
			a.nested(func(a *attrs) {
				if a.typ == unix.NFTA_SET_DESC_SIZE {
					s.size = a.uint32()
				}
			})
		case setExpr:
			add(&a)
		case setExprs:
			a.nested(add)
		}
	}
	return s, a.err()
}

// decodeElements adds to o what the elements of one NFT_MSG_NEWSETELEM can come
// to, and returns how many they were.
func decodeElements(b []byte, o *outcome) (int, error) {
	n := 0
	a := walk(b)
	for a.next() {
		if a.typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		a.nested(func(a *attrs) {
			n++
			a.nested(func(a *attrs) { o.element(a) })
		})
	}
	return n, a.err()
}

// element reads one attribute of an element.
func (o *outcome) element(a *attrs) {
	add := func(a *attrs) {
		if name, _, ok := splitExpression(a); ok && !stateful(name) {
			o.canDrop = true
		}
	}
	switch a.typ {
	case unix.NFTA_SET_ELEM_DATA:
		// Data of another kind than a verdict means nothing here.
		if in := walk(a.data); in.next() && in.typ == unix.NFTA_DATA_VERDICT {
			o.verdict(a.data, a)
		}
	case unix.NFTA_SET_ELEM_EXPR:
		add(a)
	case elemExprs:
		a.nested(add)
	}
}
