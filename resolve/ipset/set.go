// Package ipset reads the ipsets of a network namespace.
package ipset

import "github.com/droptrace/droptrace/resolve/ruleset"

// Set is one ipset.
type Set struct {
	Name string
	// Type as ipset spells it: hash:ip,port, list:set, …
	Type string
	// Family is ip, ip6, or empty for a type that has none.
	Family string
	// Dimensions are what an element is made of, as the type's name has them:
	// ip, net, port, mac, iface, mark, set.
	Dimensions []string
	// Elements of a value for each dimension, put behind each other: an address
	// of 4 or 16 bytes; a port of 3, the protocol before it (ICMP's type and
	// code stand for a port); a MAC address of 6; an interface's name of 16; a
	// mark of 4. Those of list:set are in Members.
	*ruleset.Set
	Members []*Set
	// MarkMask is ANDed to the packet's mark first, for hash:ip,mark.
	MarkMask uint32
}

// Sets are the ipsets of one namespace, by name.
type Sets map[string]*Set
