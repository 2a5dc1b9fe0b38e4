package ipset

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/budget"
)

// errMalformed is for bytes that are no answer of ip_set.
var errMalformed = errors.New("malformed message")

// Attributes of uapi linux/netfilter/ipset/ip_set.h: of a message, of a set's
// head, of an element.
const (
	attrProtocol  = 1
	attrName      = 2
	attrListFlags = 6
	attrType      = 3
	attrFamily    = 5
	attrData      = 7
	attrElements  = 8

	attrMarkMask = 11
	attrBitmask  = 12
	attrNetmask  = 20
	attrCount    = 24 // IPSET_ATTR_ELEMENTS

	attrIP        = 1
	attrIPTo      = 2
	attrCIDR      = 3
	attrPort      = 4
	attrPortTo    = 5
	attrTimeout   = 6
	attrProto     = 7
	attrFlags     = 8
	attrMark      = 10
	attrEther     = 17
	attrMember    = 18
	attrIP2       = 20
	attrCIDR2     = 21
	attrInterface = 23
	attrComment   = 26

	attrIPv4 = 1
	attrIPv6 = 2
)

const headerSize = 4 // struct nfgenmsg

// decoder gathers a dump, in which a large set has several messages.
type decoder struct {
	sets Sets
	// failed are sets that cannot be told whole.
	failed map[*Set]bool
	nets   map[*Set]*networks
	budget *budget.Budget // nil for none
}

func newDecoder() *decoder {
	return &decoder{sets: make(Sets), failed: make(map[*Set]bool), nets: make(map[*Set]*networks)}
}

// message reads one IPSET_CMD_LIST answer.
func (d *decoder) message(m netlink.Message) error {
	if m.Header.Type>>8 != subsystem || len(m.Data) < headerSize {
		return fmt.Errorf("type %#x of %d bytes: %w", m.Header.Type, len(m.Data), errMalformed)
	}
	attrs, err := attributes(m.Data[headerSize:])
	if err != nil {
		return err
	}
	s := d.set(attrs)
	if s == nil {
		return nil // the end of a dump of nothing
	}
	if data, ok := attrs[attrData]; ok {
		if err := s.head(data); err != nil {
			return err
		}
	}
	list, ok := attrs[attrElements]
	if !ok {
		return nil
	}
	ad, err := netlink.NewAttributeDecoder(list)
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	for ad.Next() {
		if ad.Type() != attrData {
			continue
		}
		e, err := attributes(ad.Bytes())
		if err != nil {
			return err
		}
		if err := d.budget.Take(elementSize); err != nil {
			return err
		}
		d.element(s, e)
	}
	return ad.Err()
}

// set is the one that a message is of: the first has its type.
func (d *decoder) set(attrs map[uint16][]byte) *Set {
	name, typ := text(attrs[attrName]), text(attrs[attrType])
	if typ == "" || name == "" {
		return d.sets[name]
	}
	family := ""
	if f := attrs[attrFamily]; len(f) == 1 {
		switch f[0] {
		case unix.NFPROTO_IPV4:
			family = "ip"
		case unix.NFPROTO_IPV6:
			family = "ip6"
		}
	}
	if d.sets[name] == nil {
		d.sets[name] = newSet(name, typ, family)
	}
	return d.sets[name]
}

// head reads what a set was created with.
func (s *Set) head(data []byte) error {
	attrs, err := attributes(data)
	if err != nil {
		return err
	}
	if b := attrs[attrNetmask]; len(b) == 1 && int(b[0]) < 8*s.addressSize() {
		s.netmask = int(b[0])
	}
	s.bitmask = address(attrs[attrBitmask])
	if b := attrs[attrCount]; len(b) == 4 {
		s.size = binary.BigEndian.Uint32(b)
	}
	_, s.timeouts = attrs[attrTimeout]
	if b := attrs[attrMarkMask]; len(b) == 4 {
		s.MarkMask = binary.BigEndian.Uint32(b)
	}
	return nil
}

// finish makes sets of what was gathered.
func (d *decoder) finish() Sets {
	for s, nets := range d.nets {
		if !d.failed[s] {
			s.Elements, s.Holes = nets.flatten(), nets.noMatch
		}
	}
	for s := range d.failed {
		s.incomplete()
	}
	for _, s := range d.sets {
		sortElements(s.Elements)
	}
	d.sets.link()
	return d.sets
}

// attributes are by type, flags of byte order and nesting left out.
func attributes(b []byte) (map[uint16][]byte, error) {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	attrs := make(map[uint16][]byte)
	for ad.Next() {
		attrs[ad.Type()] = ad.Bytes()
	}
	if err := ad.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return attrs, nil
}

// address is that of a nested IPSET_ATTR_IPADDR_*, nil for none.
func address(b []byte) []byte {
	if b == nil {
		return nil
	}
	attrs, err := attributes(b)
	if err != nil {
		return nil
	}
	if a := attrs[attrIPv4]; len(a) == 4 {
		return a
	}
	if a := attrs[attrIPv6]; len(a) == 16 {
		return a
	}
	return nil
}

// text is a string that a NUL ends.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
