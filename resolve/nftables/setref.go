package nftables

import "golang.org/x/sys/unix"

// lookup asks a set. Into the verdict register it is a verdict map; else only
// an element's own expressions could drop.
func (r *ruleMessage) lookup(data []byte, outer *attrs) {
	ref := setRef{kind: refLookup}
	a := walk(data)
	for a.next() {
		switch a.typ {
		case unix.NFTA_LOOKUP_SET:
			ref.name = a.text()
		case unix.NFTA_LOOKUP_DREG:
			if a.uint32() == registerVerdict {
				ref.kind = refVerdict
			}
		}
	}
	outer.bad = outer.bad || a.bad
	r.addRef(ref)
}

// dynset adds or updates an element from the packet path, and runs the
// element's expressions. It cannot write verdicts (nft_dynset_init refuses).
func (r *ruleMessage) dynset(data []byte, outer *attrs) {
	const expressions = 10 // NFTA_DYNSET_EXPRESSIONS, from 5.11
	ref := setRef{kind: refUpdate}
	add := func(a *attrs) {
		name, _, ok := splitExpression(a)
		if ok && !stateful(name) {
			ref.kind = refLimit
		}
	}
	a := walk(data)
	for a.next() {
		switch a.typ {
		case unix.NFTA_DYNSET_SET_NAME:
			ref.name = a.text()
		case unix.NFTA_DYNSET_EXPR:
			add(&a)
		case expressions:
			a.nested(add)
		}
	}
	outer.bad = outer.bad || a.bad
	r.addRef(ref)
}

// objref runs a named object, or the one that a map has for the packet.
func (r *ruleMessage) objref(data []byte, outer *attrs) {
	var (
		typ uint32
		set []byte
	)
	a := walk(data)
	for a.next() {
		switch a.typ {
		case unix.NFTA_OBJREF_IMM_TYPE:
			typ = a.uint32()
		case unix.NFTA_OBJREF_SET_NAME:
			set = a.text()
		}
	}
	outer.bad = outer.bad || a.bad
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
