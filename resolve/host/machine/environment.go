package machine

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

var _ replay.Environment = (*Machine)(nil)

// FIB implements replay.Environment for the type of an address (iptables'
// addrtype, nft's fib type). Lookups that depend on mark or interface are not
// known.
func (m *Machine) FIB(p *replay.Packet, key uint8, result ruleset.FIBResult) ([]byte, replay.Presence) {
	if result != ruleset.FIBType {
		return nil, replay.NotKnown
	}
	var h packet.Packet
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &h)
	var a netip.Addr
	switch key {
	case ruleset.FIBDest:
		a = h.Destination
	case ruleset.FIBSource:
		a = h.Source
	}
	if !a.IsValid() {
		return nil, replay.NotKnown
	}
	kind, ok := m.kind(a)
	if !ok {
		return nil, replay.NotKnown
	}
	return binary.BigEndian.AppendUint32(nil, uint32(kind)), replay.Present
}

// kind is the type of an address. For IPv4 the local table alone decides, whatever
// routes there are (inet_addr_type).
func (m *Machine) kind(a netip.Addr) (kind int, ok bool) {
	switch {
	case a.IsMulticast():
		return unix.RTN_MULTICAST, true
	case a.Is4() && (a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})):
		return unix.RTN_BROADCAST, true
	}
	r, err := m.route(a)
	if a.Is4() && errors.Is(err, errNoRoute) {
		return unix.RTN_UNICAST, true
	}
	return r.Type, err == nil
}

// Link implements replay.Environment.
func (m *Machine) Link(i replay.Interface, f ruleset.Field) ([]byte, replay.Presence) {
	if !i.Known || i.Name == "" {
		return nil, replay.NotKnown
	}
	switch f {
	case ruleset.InGroup, ruleset.OutGroup:
	default:
		return nil, replay.NotKnown
	}
	var group uint32
	err := m.ns.Do(func() error {
		link, err := netlink.LinkByName(i.Name)
		if err == nil {
			group = link.Attrs().Group
		}
		return err
	})
	if err != nil {
		return nil, replay.NotKnown
	}
	return binary.BigEndian.AppendUint32(nil, group), replay.Present
}
