package ipset

import (
	"bytes"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// networks are the elements of a set of networks. Of those that hold an address
// the longest prefix counts (mtype_test_cidrs of ip_set_hash_gen.h), and where it
// is a nomatch one the address is not in the set: flatten cuts them out.
type networks struct {
	set      *Set
	elements []ruleset.Element
	noMatch  bool
	// unclear: nomatch of two networks at once, or beside names with wildcards.
	unclear bool
}

func (n *networks) add(e ruleset.Element) {
	n.elements = append(n.elements, e)
	n.noMatch = n.noMatch || e.NoMatch
	if !n.noMatch {
		return
	}
	count := 0
	for _, dimension := range n.set.Dimensions {
		if dimension == "net" {
			count++
		}
		n.unclear = n.unclear || dimension == "iface" && !slices.Equal(e.From[n.set.addressSize():], e.To[n.set.addressSize():])
	}
	n.unclear = n.unclear || count > 1
}

// flatten returns the elements without nomatch ones.
func (n *networks) flatten() []ruleset.Element {
	if !n.noMatch {
		return n.elements
	}
	at, size := n.offset(), n.set.addressSize()
	groups := make(map[string][]ruleset.Element) // those that differ in the network only
	for _, e := range n.elements {
		rest := string(slices.Concat(e.From[:at], e.From[at+size:]))
		groups[rest] = append(groups[rest], e)
	}
	var flat []ruleset.Element
	for _, group := range groups {
		flat = append(flat, cutOut(group, at, size)...)
	}
	return flat
}

// offset is where the network stands in an element.
func (n *networks) offset() (offset int) {
	for _, dimension := range n.set.Dimensions {
		switch dimension {
		case "net":
			return offset
		case "ip":
			offset += n.set.addressSize()
		case "port":
			offset += 3
		}
	}
	return offset
}

// cutOut goes through the networks from the first address on, with those around
// it on a stack: two networks are apart or one holds the other.
func cutOut(group []ruleset.Element, at, size int) (flat []ruleset.Element) {
	from := func(e ruleset.Element) []byte { return e.From[at : at+size] }
	to := func(e ruleset.Element) []byte { return e.To[at : at+size] }
	slices.SortFunc(group, func(a, b ruleset.Element) int {
		if c := bytes.Compare(from(a), from(b)); c != 0 {
			return c
		}
		return bytes.Compare(to(b), to(a)) // the larger first
	})
	// emit keeps the part of e from next up to last.
	var stack []ruleset.Element
	next := make([]byte, size)
	emit := func(e ruleset.Element, last []byte) {
		if e.NoMatch || bytes.Compare(next, last) > 0 {
			return
		}
		e.From, e.To = bytes.Clone(e.From), bytes.Clone(e.To)
		copy(e.From[at:], next)
		copy(e.To[at:at+size], last)
		flat = append(flat, e)
	}
	// pop ends the networks before an address; past the last it ends all.
	pop := func(before []byte) {
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			if before != nil && bytes.Compare(to(top), before) >= 0 {
				return
			}
			emit(top, to(top))
			stack = stack[:len(stack)-1]
			var over bool
			if next, over = after(to(top)); over {
				stack = nil
			}
		}
	}
	for _, e := range group {
		pop(from(e))
		if len(stack) > 0 {
			if last, first := before(from(e)); !first {
				emit(stack[len(stack)-1], last)
			}
		}
		next = bytes.Clone(from(e))
		stack = append(stack, e)
	}
	pop(nil)
	return flat
}

// after is the address behind; over where there is none.
func after(address []byte) (next []byte, over bool) {
	next = bytes.Clone(address)
	for i := len(next) - 1; i >= 0; i-- {
		next[i]++
		if next[i] != 0 {
			return next, false
		}
	}
	return next, true
}

// before is the address in front; first where there is none.
func before(address []byte) (last []byte, first bool) {
	last = bytes.Clone(address)
	for i := len(last) - 1; i >= 0; i-- {
		last[i]--
		if last[i] != 0xff {
			return last, false
		}
	}
	return last, true
}
