package ipset

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const (
	// askTimeout bounds one question, which takes some 10 µs.
	askTimeout = 2 * time.Second
	// errorExist is IPSET_ERR_EXIST: an element is not in the set.
	errorExist = unix.Errno(4103)
)

// asker asks a set for values, as `ipset test` does.
type asker struct {
	ns  Namespace
	set *Set
}

// ask implements [ruleset.Set.Ask] for values of the set's own dimensions.
func (a asker) ask(value []byte) ruleset.Found {
	attrs, ok := a.set.attributesOf(value)
	if !ok {
		return ruleset.MaybeThere
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	held, err := a.test(ctx, attrs)
	switch {
	case err != nil:
		return ruleset.MaybeThere
	case held:
		return ruleset.IsFound
	case a.set.timeouts:
		return ruleset.MaybeThere // it may have been there
	}
	return ruleset.NotFound
}

// test asks whether the set holds an element.
func (a asker) test(ctx context.Context, element []netlink.Attribute) (held bool, err error) {
	data, err := netlink.MarshalAttributes(element)
	if err != nil {
		return false, err
	}
	request, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: attrProtocol, Data: []byte{protocol}},
		{Type: attrName, Data: append([]byte(a.set.Name), 0)},
		{Type: attrData | netlink.Nested, Data: data},
	})
	if err != nil {
		return false, err
	}
	c, err := dial(ctx, a.ns)
	if err != nil {
		return false, err
	}
	defer c.close()
	if err := c.send(commandTest, netlink.Acknowledge, request); err != nil {
		return false, err
	}
	_, err = c.Receive()
	if errors.Is(err, errorExist) {
		return false, nil
	}
	return err == nil, err
}

// attributesOf turns a value into what a request has for it: what [Set.value] reads,
// the other way.
func (s *Set) attributesOf(value []byte) (attrs []netlink.Attribute, ok bool) {
	take := func(n int) (part []byte) {
		if len(value) < n {
			return nil
		}
		part, value = value[:n], value[n:]
		return part
	}
	add := func(typ uint16, data []byte) { attrs = append(attrs, netlink.Attribute{Type: typ, Data: data}) }
	nth := 0 // of the addresses
	for _, dimension := range s.Dimensions {
		var part []byte
		switch dimension {
		case "ip", "net":
			if part = take(s.addressSize()); part != nil {
				add([]uint16{attrIP, attrIP2}[min(nth, 1)]|netlink.Nested, addressAttribute(part))
			}
			nth++
		case "port":
			if part = take(3); part != nil {
				add(attrPort|netlink.NetByteOrder, part[1:])
				if s.Type != "bitmap:port" {
					add(attrProto, part[:1])
				} else if part[0] != protoTCP && part[0] != protoUDP {
					return nil, false
				}
			}
		case "mac":
			if part = take(6); part != nil {
				add(attrEther, part)
			}
		case "iface":
			if part = take(ifNameSize); part != nil {
				add(attrInterface, append([]byte(text(part)), 0))
			}
		case "mark":
			if part = take(4); part != nil {
				add(attrMark|netlink.NetByteOrder, binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(part)))
			}
		}
		if part == nil {
			return nil, false
		}
	}
	return attrs, len(value) == 0
}

func addressAttribute(address []byte) []byte {
	typ := uint16(attrIPv4)
	if len(address) == 16 {
		typ = attrIPv6
	}
	b, _ := netlink.MarshalAttributes([]netlink.Attribute{{Type: typ | netlink.NetByteOrder, Data: address}})
	return b
}
