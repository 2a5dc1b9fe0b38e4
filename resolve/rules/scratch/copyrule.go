package scratch

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Of uapi linux/netfilter/nf_tables.h and nf_tables_compat.h.
const (
	elementKeyEnd = 10 // NFTA_SET_ELEM_KEY_END, 5.6
	intervalEnd   = 1  // NFT_SET_ELEM_INTERVAL_END

	lookupSet  = 1 // NFTA_LOOKUP_SET
	dynsetSet  = 1 // NFTA_DYNSET_SET_NAME
	objrefSet  = 4 // NFTA_OBJREF_SET_NAME
	compatName = 1 // NFTA_MATCH_NAME, NFTA_TARGET_NAME

	compatProto = 1 // NFTA_RULE_COMPAT_PROTO
	compatFlags = 2 // NFTA_RULE_COMPAT_FLAGS
	compatNot   = 2 // NFT_RULE_COMPAT_F_INV
)

// addElements keeps the elements of a message, each in what makes it.
func (s *nftSet) addElements(_ uint8, attrs []byte) error {
	list := find(attrs, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	if list == nil {
		return nil
	}
	for e := range attributes(list.data()) {
		const object, expressions = 9, 11 // NFTA_SET_ELEM_OBJREF, _EXPRESSIONS
		s.elements = append(s.elements, only(e.data(), unix.NFTA_SET_ELEM_KEY, unix.NFTA_SET_ELEM_DATA,
			unix.NFTA_SET_ELEM_FLAGS, unix.NFTA_SET_ELEM_TIMEOUT, unix.NFTA_SET_ELEM_EXPIRATION,
			unix.NFTA_SET_ELEM_USERDATA, unix.NFTA_SET_ELEM_EXPR, object, elementKeyEnd, expressions))
	}
	return nil
}

// sort puts elements that are ends of intervals in the order that the kernel wants,
// which looks for overlaps at each, and lists the last one first.
func (s *nftSet) sort() {
	if slices.ContainsFunc(s.elements, func(e []byte) bool { _, end := elementKey(e); return end }) {
		slices.SortStableFunc(s.elements, compareElements)
	}
}

// compareElements sorts by key, the end of an interval before the next one's begin.
func compareElements(a, b []byte) int {
	keyA, endA := elementKey(a)
	keyB, endB := elementKey(b)
	if c := bytes.Compare(keyA, keyB); c != 0 || endA == endB {
		return c
	}
	if endA {
		return -1
	}
	return 1
}

func elementKey(attrs []byte) (key []byte, end bool) {
	if k := find(attrs, unix.NFTA_SET_ELEM_KEY); k != nil {
		if v := find(k.data(), unix.NFTA_DATA_VALUE); v != nil {
			key = v.data()
		}
	}
	f := find(attrs, unix.NFTA_SET_ELEM_FLAGS)
	return key, f != nil && len(f.data()) == 4 && f.data()[3]&intervalEnd != 0
}

func (r *nftRules) addRule(family uint8, attrs []byte) error {
	list := find(attrs, unix.NFTA_RULE_EXPRESSIONS)
	if !r.wanted(family, attrs) {
		return nil
	}
	rule := nftRule{message: nftMessage{unix.NFT_MSG_NEWRULE, family,
		only(attrs, unix.NFTA_RULE_TABLE, unix.NFTA_RULE_CHAIN, unix.NFTA_RULE_EXPRESSIONS, unix.NFTA_RULE_USERDATA)}}
	rule.chain, rule.handle = ruleOf(family, attrs)
	table := rule.chain.table
	var w protocolFinder
	if list != nil {
		for e := range attributes(list.data()) {
			kind, data := expression(e)
			if set := setOf(kind, data); set != "" {
				rule.sets = append(rule.sets, setKey{table, set})
			}
			if kind == "match" || kind == "target" {
				if name := find(data, compatName); name != nil {
					r.extensions = append(r.extensions, name.text())
				}
				w.compat = true
			}
			w.see(kind, data)
		}
	}
	rule.message.attrs = append(rule.message.attrs, w.attribute()...)
	r.rules = append(r.rules, rule)
	return nil
}

// expression is an element of NFTA_RULE_EXPRESSIONS: its kind and attributes.
func expression(e attribute) (kind string, data []byte) {
	if n := find(e.data(), unix.NFTA_EXPR_NAME); n != nil {
		kind = n.text()
	}
	if d := find(e.data(), unix.NFTA_EXPR_DATA); d != nil {
		data = d.data()
	}
	return kind, data
}

// setOf is the set that an expression looks into.
func setOf(kind string, data []byte) string {
	typ := map[string]int{"lookup": lookupSet, "dynset": dynsetSet, "objref": objrefSet}[kind]
	if typ == 0 {
		return ""
	}
	if a := find(data, typ); a != nil {
		return a.text()
	}
	return ""
}

// protocolFinder finds the protocol that a rule of iptables-nft is for. Matches as
// tcp's are refused without one, and the kernel takes it from an attribute
// (NFTA_RULE_COMPAT) that it does not list.
type protocolFinder struct {
	compat bool
	loaded bool // the expression before loads the protocol
	proto  uint8
	not    bool
}

func (w *protocolFinder) see(kind string, data []byte) {
	number := func(typ int) uint32 {
		if a := find(data, typ); a != nil && len(a.data()) == 4 {
			return binary.BigEndian.Uint32(a.data())
		}
		return 0
	}
	switch {
	case kind == "meta":
		w.loaded = number(unix.NFTA_META_KEY) == unix.NFT_META_L4PROTO && find(data, unix.NFTA_META_DREG) != nil
	case kind == "payload": // ip protocol
		w.loaded = number(unix.NFTA_PAYLOAD_BASE) == unix.NFT_PAYLOAD_NETWORK_HEADER &&
			number(unix.NFTA_PAYLOAD_OFFSET) == 9 && number(unix.NFTA_PAYLOAD_LEN) == 1
	case kind == "cmp" && w.loaded && w.proto == 0:
		w.loaded = false
		a := find(data, unix.NFTA_CMP_DATA)
		if a == nil {
			return
		}
		if v := find(a.data(), unix.NFTA_DATA_VALUE); v != nil && len(v.data()) > 0 {
			w.proto, w.not = v.data()[0], number(unix.NFTA_CMP_OP) == unix.NFT_CMP_NEQ
		}
	default:
		w.loaded = false
	}
}

// attribute is NFTA_RULE_COMPAT, nothing for a rule without x_tables' code.
func (w *protocolFinder) attribute() []byte {
	if !w.compat || w.proto == 0 {
		return nil
	}
	flags := uint32(0)
	if w.not {
		flags = compatNot
	}
	b := appendUint32(nil, compatProto, uint32(w.proto))
	return appendAttribute(nil, unix.NFTA_RULE_COMPAT|flagNested, appendUint32(b, compatFlags, flags))
}
