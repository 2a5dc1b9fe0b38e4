package ipset

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

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
	// mark of 4. They are sorted, and what a nomatch element takes out of a
	// network is out. Those of list:set are in Members.
	*ruleset.Set
	Members []*Set
	// MarkMask is ANDed to the packet's mark first, for hash:ip,mark.
	MarkMask uint32

	netmask int    // bits of an address that count; 0 for all
	bitmask []byte // the same where they are not the first ones
	members []string

	size     uint32 // elements that it had when its head was read
	timeouts bool   // elements may go by themselves
}

// Sets are the ipsets of one namespace, by name.
type Sets map[string]*Set

func newSet(name, typ, family string) *Set {
	_, dimensions, _ := strings.Cut(typ, ":")
	return &Set{
		Name: name, Type: typ, Family: family, Dimensions: strings.Split(dimensions, ","), MarkMask: 1<<32 - 1,
		Set: &ruleset.Set{Name: name, IPSet: typ, Complete: true},
	}
}

// incomplete forgets the elements: what they mean is not understood.
func (s *Set) incomplete() {
	s.Complete, s.Elements = false, nil
}

// addressSize is the length of the set's addresses, in bytes.
func (s *Set) addressSize() int {
	if s.Family == "ip6" {
		return 16
	}
	return 4
}

// link gives lists their members.
func (s Sets) link() {
	for _, list := range s {
		for _, name := range list.members {
			if m, ok := s[name]; ok {
				list.Members = append(list.Members, m)
			} else {
				list.Complete = false
			}
		}
	}
}
