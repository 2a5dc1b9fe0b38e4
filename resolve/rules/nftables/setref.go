package nftables

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// lookup asks a set. Into the verdict register it is a verdict map; else only
// an element's own expressions could drop.
func (r *ruleMessage) lookup(data []byte, outer *nlattr.Attrs) {
	ref := setRef{kind: refLookup}
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_LOOKUP_SET:
			ref.name = a.Text()
		case unix.NFTA_LOOKUP_DREG:
			if a.Uint32() == registerVerdict {
				ref.kind = refVerdict
			}
		}
	}
	outer.Bad = outer.Bad || a.Bad
	r.addRef(ref)
}

// dynset adds or updates an element from the packet path, and runs the
// element's expressions. It cannot write verdicts (nft_dynset_init refuses).
func (r *ruleMessage) dynset(data []byte, outer *nlattr.Attrs) {
	const expressions = 10 // NFTA_DYNSET_EXPRESSIONS, from 5.11
	ref := setRef{kind: refUpdate}
	add := func(a *nlattr.Attrs) {
		name, _, ok := nlattr.Expression(a)
		if ok && !stateful(name) {
			ref.kind = refLimit
		}
	}
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_DYNSET_SET_NAME:
			ref.name = a.Text()
		case unix.NFTA_DYNSET_EXPR:
			add(&a)
		case expressions:
			a.Nested(add)
		}
	}
	outer.Bad = outer.Bad || a.Bad
	r.addRef(ref)
}

// objref runs a named object, or the one that a map has for the packet.
func (r *ruleMessage) objref(data []byte, outer *nlattr.Attrs) {
	var (
		typ uint32
		set []byte
	)
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_OBJREF_IMM_TYPE:
			typ = a.Uint32()
		case unix.NFTA_OBJREF_SET_NAME:
			set = a.Text()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	if set != nil {
		r.addRef(setRef{name: set, kind: refObject})
		return
	}
	r.canDrop = r.canDrop || !objectPasses(typ)
}

// addRef keeps a reference; one without a name cannot be looked into.
func (r *ruleMessage) addRef(ref setRef) {
	if len(ref.name) == 0 {
		r.canDrop = true
		return
	}
	if ref.kind == refLimit {
		r.canDrop = true
	}
	r.refs = append(r.refs, ref)
}

// stateful reports whether an expression that set elements can carry never
// drops. Elements take only expressions with NFT_EXPR_STATEFUL: these four and
// connlimit, which drops a packet that it cannot track.
func stateful(name []byte) bool {
	switch string(name) {
	case "counter", "last", "limit", "quota":
		return true
	}
	return false
}

// objectPasses reports whether a stateful object never drops. The others
// (connlimit, ct helper, ct timeout, ct expectation, synproxy) can.
func objectPasses(typ uint32) bool {
	switch typ {
	case unix.NFT_OBJECT_COUNTER, unix.NFT_OBJECT_QUOTA, unix.NFT_OBJECT_LIMIT,
		unix.NFT_OBJECT_TUNNEL, unix.NFT_OBJECT_SECMARK:
		return true
	}
	return false
}
