package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Tuple is one direction of an entry. Ports are in host order; ICMP's id stands
// in SourcePort, its type and code in DestinationPort, as the kernel keeps them.
type Tuple struct {
	Source, Destination         netip.Addr
	SourcePort, DestinationPort uint16
	Protocol                    uint8
}

// Entry is an entry of the table.
type Entry struct {
	Original, Reply Tuple
	Status          uint32 // IPS_* bits
	Mark            uint32
	Zone            uint16
	Timeout         uint32 // seconds; 0 for an entry not yet confirmed
	TCPState        uint8  // enum tcp_conntrack; only TCP's
	Helper          string // that reads it, "" for none
}

// ErrNoEntry says that no entry has that tuple.
var ErrNoEntry = errors.New("no such conntrack entry")

// Attributes: enum ctattr_type and those nested in them.
const (
	attrOriginal  = 1  // CTA_TUPLE_ORIG
	attrReply     = 2  // CTA_TUPLE_REPLY
	attrStatus    = 3  // CTA_STATUS
	attrProtoinfo = 4  // CTA_PROTOINFO
	attrHelp      = 5  // CTA_HELP
	attrTimeout   = 7  // CTA_TIMEOUT
	attrMark      = 8  // CTA_MARK
	attrZone      = 18 // CTA_ZONE

	tupleIP    = 1 // CTA_TUPLE_IP
	tupleProto = 2 // CTA_TUPLE_PROTO

	ipSource4, ipDestination4 = 1, 2 // CTA_IP_V4_SRC, CTA_IP_V4_DST
	ipSource6, ipDestination6 = 3, 4

	protoNumber       = 1 // CTA_PROTO_NUM
	protoSource       = 2 // CTA_PROTO_SRC_PORT
	protoDestination  = 3 // CTA_PROTO_DST_PORT
	protoICMPID       = 4
	protoICMPType     = 5
	protoICMPCode     = 6
	protoICMP6ID      = 7
	protoICMP6Type    = 8
	protoICMP6Code    = 9
	protoinfoTCP      = 1 // CTA_PROTOINFO_TCP
	protoinfoTCPState = 1 // CTA_PROTOINFO_TCP_STATE
	helpName          = 1 // CTA_HELP_NAME
	numberICMP        = unix.IPPROTO_ICMP
	numberICMP6       = unix.IPPROTO_ICMPV6
)

// Lookup returns the entry that has this tuple in either direction. About 30 µs.
// The error is [ErrNoEntry] where there is none.
func (r *Reader) Lookup(ctx context.Context, t *Tuple, zone uint16) (*Entry, error) {
	request := nested(nil, attrOriginal, func(b []byte) []byte { return appendTuple(b, t) })
	if zone != 0 {
		request = attribute(request, attrZone, binary.BigEndian.AppendUint16(nil, zone))
	}
	family := uint8(unix.AF_INET)
	if t.Source.Is6() {
		family = unix.AF_INET6
	}
	found := new(Entry)
	attrs, err := r.ask(ctx, msgGet, family, request)
	if err == nil {
		err = found.parse(attrs)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, ErrNoEntry
	case err != nil:
		return nil, fmt.Errorf("look up conntrack entry: %w", err)
	}
	return found, nil
}

// Each calls fn with every entry, one after the other; e is only good during the
// call. Entries that come and go meanwhile may be missed or seen twice.
func (r *Reader) Each(ctx context.Context, fn func(e *Entry) error) error {
	var e Entry
	err := r.execute(ctx, msgGet, unix.AF_UNSPEC, nil, netlink.Dump, func(_, b []byte) error {
		e = Entry{}
		if err := e.parse(b); err != nil {
			return err
		}
		return fn(&e)
	})
	if err != nil {
		return fmt.Errorf("read conntrack entries: %w", err)
	}
	return nil
}

// parse reads an IPCTNL_MSG_CT_NEW message's attributes. It allocates nothing but
// a helper's name.
func (e *Entry) parse(b []byte) error {
	for a := walk(b); a.next(); {
		switch a.typ {
		case attrOriginal:
			e.Original.parse(a.data)
		case attrReply:
			e.Reply.parse(a.data)
		case attrStatus:
			e.Status = a.uint32()
		case attrTimeout:
			e.Timeout = a.uint32()
		case attrMark:
			e.Mark = a.uint32()
		case attrZone:
			e.Zone = a.uint16()
		case attrProtoinfo:
			e.TCPState = tcpState(a.data)
		case attrHelp:
			for in := walk(a.data); in.next(); {
				if in.typ == helpName {
					e.Helper = string(bytes.TrimRight(in.data, "\x00"))
				}
			}
		}
	}
	if !e.Original.Source.IsValid() {
		return errMalformed
	}
	return nil
}

func tcpState(b []byte) uint8 {
	for a := walk(b); a.next(); {
		if a.typ != protoinfoTCP {
			continue
		}
		for in := walk(a.data); in.next(); {
			if in.typ == protoinfoTCPState {
				return in.uint8()
			}
		}
	}
	return 0
}

func (t *Tuple) parse(b []byte) {
	for a := walk(b); a.next(); {
		switch a.typ {
		case tupleIP:
			t.parseAddresses(a.data)
		case tupleProto:
			t.parseProtocol(a.data)
		}
	}
}

func (t *Tuple) parseAddresses(b []byte) {
	for a := walk(b); a.next(); {
		switch a.typ {
		case ipSource4, ipSource6:
			t.Source, _ = netip.AddrFromSlice(a.data)
		case ipDestination4, ipDestination6:
			t.Destination, _ = netip.AddrFromSlice(a.data)
		}
	}
}

func (t *Tuple) parseProtocol(b []byte) {
	for a := walk(b); a.next(); {
		switch a.typ {
		case protoNumber:
			t.Protocol = a.uint8()
		case protoSource, protoICMPID, protoICMP6ID:
			t.SourcePort = a.uint16()
		case protoDestination:
			t.DestinationPort = a.uint16()
		case protoICMPType, protoICMP6Type:
			t.DestinationPort |= uint16(a.uint8()) << 8
		case protoICMPCode, protoICMP6Code:
			t.DestinationPort |= uint16(a.uint8())
		}
	}
}

// uint8 and the like are 0 where the payload has another size.
func (a *attrs) uint8() uint8 {
	if len(a.data) != 1 {
		return 0
	}
	return a.data[0]
}

func (a *attrs) uint16() uint16 {
	if len(a.data) != 2 {
		return 0
	}
	return binary.BigEndian.Uint16(a.data)
}

func (a *attrs) uint32() uint32 {
	if len(a.data) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(a.data)
}

func attribute(b []byte, typ uint16, payload []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(headerSize+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, payload...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func nested(b []byte, typ uint16, fill func([]byte) []byte) []byte {
	return attribute(b, typ|flagNested, fill(nil))
}

func appendTuple(b []byte, t *Tuple) []byte {
	b = nested(b, tupleIP, func(b []byte) []byte {
		source, destination := uint16(ipSource4), uint16(ipDestination4)
		if t.Source.Is6() {
			source, destination = ipSource6, ipDestination6
		}
		return attribute(attribute(b, source, t.Source.AsSlice()), destination, t.Destination.AsSlice())
	})
	return nested(b, tupleProto, func(b []byte) []byte {
		b = attribute(b, protoNumber, []byte{t.Protocol})
		id, typ, code := uint16(protoICMPID), uint16(protoICMPType), uint16(protoICMPCode)
		switch t.Protocol {
		case numberICMP6:
			id, typ, code = protoICMP6ID, protoICMP6Type, protoICMP6Code
			fallthrough
		case numberICMP:
			b = attribute(b, id, binary.BigEndian.AppendUint16(nil, t.SourcePort))
			b = attribute(b, typ, []byte{byte(t.DestinationPort >> 8)})
			return attribute(b, code, []byte{byte(t.DestinationPort)})
		}
		b = attribute(b, protoSource, binary.BigEndian.AppendUint16(nil, t.SourcePort))
		return attribute(b, protoDestination, binary.BigEndian.AppendUint16(nil, t.DestinationPort))
	})
}
