package scratch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Of uapi linux/netfilter/ipset/ip_set.h.
const (
	ipsetSubsystem = 6 // NFNL_SUBSYS_IPSET
	ipsetProtocol  = 7 // IPSET_PROTOCOL, since 4.20: messages by index

	ipsetCreate  = 2  // IPSET_CMD_CREATE
	ipsetDestroy = 3  // IPSET_CMD_DESTROY
	ipsetList    = 7  // IPSET_CMD_LIST
	ipsetAdd     = 9  // IPSET_CMD_ADD
	ipsetByName  = 14 // IPSET_CMD_GET_BYNAME

	ipsetAttrProtocol = 1
	ipsetAttrName     = 2
	ipsetAttrType     = 3
	ipsetAttrRevision = 4
	ipsetAttrFamily   = 5
	ipsetAttrData     = 7
	ipsetAttrElements = 8  // IPSET_ATTR_ADT
	ipsetAttrLine     = 9  // IPSET_ATTR_LINENO
	ipsetAttrIndex    = 11 // IPSET_ATTR_INDEX
	ipsetAttrPad      = 30 // IPSET_ATTR_PAD, which the kernel writes and does not take
)

// maxIPSetGap bounds the sets that are made to skip an index.
const maxIPSetGap = 1024

// ipsetCopy is one set as the kernel lists it.
type ipsetCopy struct {
	name     []byte
	index    uint16
	create   []byte   // the attributes that made it
	small    []byte   // those of a set of its type that takes little memory
	elements [][]byte // attributes of an element each
}

// copyIPSets copies all sets with their indexes: rules of x_tables name a set by its
// index alone.
func (n *Namespace) copyIPSets(ctx context.Context, from Source) error {
	sets, err := listIPSets(ctx, from)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	c, stop, err := dialNetfilter(ctx, n)
	if err != nil {
		return err
	}
	defer stop()
	var fillers [][]byte
	next := 0
	for _, s := range sets {
		if int(s.index)-next > maxIPSetGap {
			return fmt.Errorf("more than %d indexes between two sets", maxIPSetGap)
		}
		for ; next < int(s.index); next++ {
			filler := fmt.Appendf(nil, "droptrace-%d\x00", next)
			fillers = append(fillers, filler)
			if err := ipsetDo(c, ipsetCreate, filler, s.small); err != nil {
				return fmt.Errorf("skip an index: %w", err)
			}
		}
		if err := ipsetDo(c, ipsetCreate, s.name, s.create); err != nil {
			return fmt.Errorf("create %q: %w", s.name, err)
		}
		next++
	}
	for _, s := range sets { // lists hold sets: all are there now
		if err := s.add(c); err != nil {
			return fmt.Errorf("add to %q: %w", s.name, err)
		}
	}
	for _, filler := range fillers {
		if err := ipsetDo(c, ipsetDestroy, filler, nil); err != nil {
			return err
		}
	}
	return nil
}

// add sends the elements, many a message.
func (s *ipsetCopy) add(c *netlink.Conn) error {
	const most = 32 << 10 // bytes; an attribute holds 64 KiB
	for list := s.elements; len(list) > 0; {
		var b []byte
		for len(list) > 0 && len(b) < most {
			b = appendAttribute(b, ipsetAttrData|flagNested, list[0])
			list = list[1:]
		}
		attrs := appendUint32(nil, ipsetAttrLine, 1)
		attrs = appendAttribute(attrs, ipsetAttrElements|flagNested, b)
		if err := ipsetDo(c, ipsetAdd, s.name, attrs); err != nil {
			return err
		}
	}
	return nil
}

// ipsetDo sends one command about a set and waits for its end.
func ipsetDo(c *netlink.Conn, command int, name, attrs []byte) error {
	_, err := c.Execute(ipsetMessage(command, netlink.Request|netlink.Acknowledge, name, attrs))
	return err
}

func ipsetMessage(command int, flags netlink.HeaderFlags, name, attrs []byte) netlink.Message {
	b := appendAttribute(header(unix.AF_INET, 0), ipsetAttrProtocol, []byte{ipsetProtocol})
	if name != nil {
		b = appendAttribute(b, ipsetAttrName, name)
	}
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(ipsetSubsystem<<8 | command), Flags: flags},
		Data:   append(b, attrs...),
	}
}

// listIPSets reads the namespace's sets, by index.
func listIPSets(ctx context.Context, ns Source) ([]*ipsetCopy, error) {
	c, stop, err := dialNetfilter(ctx, ns)
	if err != nil {
		return nil, err
	}
	defer stop()
	list, err := dump(ctx, c, ipsetMessage(ipsetList, netlink.Request|netlink.Dump, nil, nil))
	if err != nil {
		return nil, err
	}
	var sets []*ipsetCopy
	byName := make(map[string]*ipsetCopy)
	for _, m := range list {
		if len(m.Data) < headerSize {
			return nil, errMalformed
		}
		attrs := m.Data[headerSize:]
		name := find(attrs, ipsetAttrName)
		if name == nil {
			continue // the end of a dump of nothing
		}
		s := byName[name.text()]
		if s == nil {
			if s, err = newIPSetCopy(attrs, name); err != nil {
				return nil, err
			}
			byName[name.text()] = s
			sets = append(sets, s)
		}
		if elements := find(attrs, ipsetAttrElements); elements != nil {
			for e := range attributes(elements.data()) {
				s.elements = append(s.elements, addresses(without(e.data(), ipsetAttrPad)))
			}
		}
	}
	for _, s := range sets {
		if s.index, err = ipsetIndex(c, s.name); err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	slices.SortFunc(sets, func(a, b *ipsetCopy) int { return int(a.index) - int(b.index) })
	return sets, nil
}

// newIPSetCopy takes from a listing what creates a set of the same kind.
func newIPSetCopy(attrs []byte, name attribute) (*ipsetCopy, error) {
	data := find(attrs, ipsetAttrData)
	if data == nil || find(attrs, ipsetAttrType) == nil {
		return nil, errMalformed
	}
	s := &ipsetCopy{name: name.data(), create: only(attrs, ipsetAttrType, ipsetAttrRevision, ipsetAttrFamily)}
	// The options of `ipset create`: addresses 1 to 3, ports 4 and 5, timeout 6, flags 8,
	// markmask 11, bitmask 12, initval 17, hashsize 18, maxelem 19, netmask 20,
	// bucketsize 21, size 23. The rest tells how full the set is.
	options := only(data.data(), 1, 2, 3, 4, 5, 6, 8, 11, 12, 17, 18, 19, 20, 21, 23)
	kind := s.create[:len(s.create):len(s.create)]
	s.create = appendAttribute(kind, ipsetAttrData|flagNested, addresses(options))
	s.small = appendAttribute(kind, ipsetAttrData|flagNested, addresses(smallest(data.data())))
	return s, nil
}

// smallest are the options for a set that is to be empty: a bitmap of one element, a
// table of the default size. Else whoever has one large set behind a gap in the indexes
// has the kernel hold a thousand of them.
func smallest(options []byte) (out []byte) {
	for a := range attributes(options) {
		switch typ := int(binary.NativeEndian.Uint16(a[2:])); a.typ() {
		case 1, 4: // IPSET_ATTR_IP, _PORT
			out = appendAttribute(out, typ, a.data())
			out = appendAttribute(out, typ+1, a.data()) // up to the same
		}
	}
	return out
}

// addresses marks those among the attributes as being in network byte order: the kernel
// wants it from others, and leaves it out itself.
func addresses(attrs []byte) (out []byte) {
	for a := range attributes(attrs) {
		typ, data := int(binary.NativeEndian.Uint16(a[2:])), a.data()
		switch a.typ() {
		case 1, 2, 12, 20, 22: // IPSET_ATTR_IP, _IP_TO, _BITMASK, _IP2, _IP2_TO
			if typ&flagNested != 0 {
				var inner []byte
				for address := range attributes(data) {
					inner = appendAttribute(inner, address.typ()|flagNetOrder, address.data())
				}
				data = inner
			}
		}
		out = appendAttribute(out, typ, data)
	}
	return out
}

// ipsetIndex asks for the number that rules have of the set.
func ipsetIndex(c *netlink.Conn, name []byte) (uint16, error) {
	answers, err := c.Execute(ipsetMessage(ipsetByName, netlink.Request, name, nil))
	if err != nil {
		return 0, fmt.Errorf("index of %q: %w", name, err)
	}
	for _, m := range answers {
		if len(m.Data) < headerSize {
			continue
		}
		if a := find(m.Data[headerSize:], ipsetAttrIndex); a != nil && len(a.data()) == 2 {
			return binary.BigEndian.Uint16(a.data()), nil
		}
	}
	return 0, fmt.Errorf("index of %q: %w", name, errMalformed)
}
