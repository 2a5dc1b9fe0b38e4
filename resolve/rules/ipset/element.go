package ipset

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"time"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Flags of IPSET_ATTR_CADT_FLAGS.
const (
	flagPhysdev  = 1 << 1
	flagNoMatch  = 1 << 2
	flagWildcard = 1 << 7 // IPSET_FLAG_IFACE_WILDCARD, from 5.5 on
)

const (
	protoTCP = 6
	protoUDP = 17

	ifNameSize = 16
)

// element adds one element to a set, or has the set be one that is not known
// whole.
func (d *decoder) element(s *Set, attrs map[uint16][]byte) {
	if s.Type == "list:set" {
		s.members = append(s.members, text(attrs[attrMember]))
		return
	}
	e := ruleset.Element{Comment: text(attrs[attrComment])}
	if b := attrs[attrTimeout]; len(b) == 4 {
		e.Expires = time.Duration(binary.BigEndian.Uint32(b)) * time.Second
	}
	flags := uint32(0)
	if b := attrs[attrFlags]; len(b) == 4 {
		flags = binary.BigEndian.Uint32(b)
	}
	e.NoMatch = flags&flagNoMatch != 0
	if flags&flagPhysdev != 0 || s.bitmask != nil || !s.value(&e, attrs, flags) {
		// The port of a bridge counts for such elements; bits in the middle of
		// an address; attributes that are not known.
		d.failed[s] = true
		return
	}
	d.add(s, e)
}

// value makes the element's bytes, dimension by dimension.
func (s *Set) value(e *ruleset.Element, attrs map[uint16][]byte, flags uint32) bool {
	nth := 0 // of the addresses
	for _, dimension := range s.Dimensions {
		from, to, ok := []byte(nil), []byte(nil), false
		switch dimension {
		case "ip", "net":
			from, to, ok = s.network(attrs, nth)
			nth++
		case "port":
			from, to, ok = port(attrs)
		case "mac":
			from, to, ok = mac(s.Type, attrs[attrEther])
		case "iface":
			from, to, ok = interfaceName(text(attrs[attrInterface]), flags&flagWildcard != 0)
		case "mark":
			from, to, ok = attrs[attrMark], attrs[attrMark], len(attrs[attrMark]) == 4
		}
		if !ok {
			return false
		}
		e.From, e.To = append(e.From, from...), append(e.To, to...)
	}
	return true
}

// network is the element's first or second address.
func (s *Set) network(attrs map[uint16][]byte, nth int) (from, to []byte, ok bool) {
	ip, cidr := address(attrs[attrIP]), attrs[attrCIDR]
	if nth > 0 {
		ip, cidr = address(attrs[attrIP2]), attrs[attrCIDR2]
	}
	size := s.addressSize()
	if len(ip) != size || nth == 0 && attrs[attrIPTo] != nil {
		return nil, nil, false
	}
	bits := 8 * size
	if s.netmask > 0 {
		bits = s.netmask
	}
	if len(cidr) == 1 && int(cidr[0]) <= bits {
		bits = int(cidr[0])
	}
	from, to = maskOff(ip, bits)
	return from, to, true
}

// maskOff is the network of that many bits that the address is in.
func maskOff(ip []byte, bits int) (from, to []byte) {
	mask := net.CIDRMask(bits, 8*len(ip))
	from, to = make([]byte, len(ip)), make([]byte, len(ip))
	for i := range ip {
		from[i] = ip[i] & mask[i]
		to[i] = ip[i] | ^mask[i]
	}
	return from, to
}

// port is the protocol and the port. bitmap:port has no protocol: it holds for
// TCP and UDP, see add.
func port(attrs map[uint16][]byte) (from, to []byte, ok bool) {
	p := attrs[attrPort]
	if len(p) != 2 || attrs[attrPortTo] != nil {
		return nil, nil, false
	}
	number := byte(0)
	if b := attrs[attrProto]; len(b) == 1 {
		number = b[0]
	}
	from = []byte{number, p[0], p[1]}
	return from, from, true
}

// mac: an element of bitmap:ip,mac without one takes any, and keeps the first.
func mac(typ string, b []byte) (from, to []byte, ok bool) {
	if b == nil && typ == "bitmap:ip,mac" {
		return make([]byte, 6), bytes.Repeat([]byte{0xff}, 6), true
	}
	return b, b, len(b) == 6
}

func interfaceName(name string, wild bool) (from, to []byte, ok bool) {
	if name == "" || len(name) >= ifNameSize {
		return nil, nil, false
	}
	from, to = make([]byte, ifNameSize), make([]byte, ifNameSize)
	copy(from, name)
	copy(to, name)
	if wild {
		for i := len(name); i < ifNameSize; i++ {
			to[i] = 0xff
		}
	}
	return from, to, true
}

// add keeps the element.
func (d *decoder) add(s *Set, e ruleset.Element) {
	switch {
	case s.Type == "bitmap:port":
		for _, protocol := range []byte{protoTCP, protoUDP} {
			own := e
			own.From, own.To = bytes.Clone(e.From), bytes.Clone(e.To)
			own.From[0], own.To[0] = protocol, protocol
			s.Elements = append(s.Elements, own)
		}
	case slices.Contains(s.Dimensions, "net"):
		if d.nets[s] == nil {
			d.nets[s] = &networks{set: s}
		}
		d.nets[s].add(e)
		if d.nets[s].unclear {
			d.failed[s] = true
		}
	default:
		s.Elements = append(s.Elements, e)
	}
}

func sortElements(elements []ruleset.Element) {
	slices.SortFunc(elements, func(a, b ruleset.Element) int { return bytes.Compare(a.From, b.From) })
}
