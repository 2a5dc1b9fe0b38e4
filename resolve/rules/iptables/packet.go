package iptables

import (
	"fmt"
	"math"
	"net"
	"os/user"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// packetSpec has the matches of what stands beside a packet.
func packetSpec(_, name string) *spec {
	switch name {
	case "comment":
		return newSpec(func(*builder, *extension) error { return nil }, "comment=1")
	case "mark":
		return newSpec(buildMark, "mark=1")
	case "mac":
		return newSpec(buildMAC, "mac-source=1")
	case "pkttype":
		return newSpec(buildPacketType, "pkt-type=1")
	case "owner":
		return newSpec(buildOwner, "uid-owner=1", "gid-owner=1", "socket-exists", "suppl-groups")
	case "addrtype":
		return newSpec(buildAddressType, "src-type=1", "dst-type=1", "limit-iface-in", "limit-iface-out")
	case "physdev":
		return newSpec(buildPhysdev, "physdev-in=1", "physdev-out=1", "physdev-is-in", "physdev-is-out",
			"physdev-is-bridged")
	case "cpu":
		return newSpec(buildCPU, "cpu=1")
	case "devgroup":
		return newSpec(buildDeviceGroup, "src-group=1", "dst-group=1")
	case "realm":
		return newSpec(buildRealm, "realm=1")
	}
	return nil
}

func buildMark(b *builder, e *extension) error {
	for _, o := range e.options {
		value, mask, err := parseMasked(o.arg(), math.MaxUint32)
		if err != nil {
			return badValue(o, err)
		}
		b.matchMasked(o, ruleset.Mark, mask, value)
	}
	return nil
}

func buildMAC(b *builder, e *extension) error {
	for _, o := range e.options {
		address, err := net.ParseMAC(o.arg())
		if err != nil || len(address) != 6 {
			return badValue(o, fmt.Errorf("no MAC address: %w", ErrSyntax))
		}
		b.match(o, ruleset.SourceMAC, ruleset.Range{From: address, To: address})
	}
	return nil
}

func buildPacketType(b *builder, e *extension) error {
	for _, o := range e.options {
		n, err := parseNumber(o.arg(), 7)
		if err != nil {
			n, err = packetType(o.arg())
		}
		if err != nil {
			return badValue(o, err)
		}
		b.match(o, ruleset.PacketType, number(ruleset.PacketType, n, n))
	}
	return nil
}

func packetType(name string) (uint64, error) {
	for i, names := range []string{"unicast host", "broadcast bcast", "multicast mcast", "otherhost"} {
		for known := range strings.FieldsSeq(names) {
			if strings.EqualFold(name, known) {
				return uint64(i), nil
			}
		}
	}
	return 0, fmt.Errorf("%q is no packet type: %w", name, ErrSyntax)
}

// buildOwner is owner_mt of xt_owner.c: a packet without a socket has no owner,
// so that a negated test holds.
func buildOwner(b *builder, e *extension) error {
	_, supplementary := e.find("suppl-groups")
	for _, o := range e.options {
		f := ruleset.SocketUID
		switch {
		case o.name == "suppl-groups":
			continue
		case o.name == "gid-owner":
			f = ruleset.SocketGID
		}
		// A socket may be there and have no owner; groups beside a process's own
		// are not told.
		if o.name == "socket-exists" || f == ruleset.SocketGID && supplementary {
			b.emit(&ruleset.Opaque{Kind: "owner", Understood: true, MayFail: true, Text: o.text()})
			continue
		}
		from, to, err := ownerRange(o)
		if err != nil {
			return badValue(o, err)
		}
		b.withoutField(compare(o, f, number(f, from, to)))
	}
	return nil
}

// ownerRange reads a number, a range of them, or a name of this machine.
func ownerRange(o option) (from, to uint64, err error) {
	if from, to, err = parseInterval(o.arg(), "-", math.MaxUint32); err == nil {
		return from, to, nil
	}
	id := ""
	if o.name == "uid-owner" {
		if u, e := user.Lookup(o.arg()); e == nil {
			id = u.Uid
		}
	} else if g, e := user.LookupGroup(o.arg()); e == nil {
		id = g.Gid
	}
	n, e := strconv.ParseUint(id, 10, 32)
	if e != nil {
		return 0, 0, err
	}
	return n, n, nil
}

func buildCPU(b *builder, e *extension) error {
	for _, o := range e.options {
		n, err := parseNumber(o.arg(), math.MaxUint32)
		if err != nil {
			return badValue(o, err)
		}
		b.match(o, ruleset.CPU, number(ruleset.CPU, n, n))
	}
	return nil
}

func buildDeviceGroup(b *builder, e *extension) error {
	for _, o := range e.options {
		f := ruleset.InGroup
		if o.name == "dst-group" {
			f = ruleset.OutGroup
		}
		value, mask, err := parseMasked(o.arg(), math.MaxUint32)
		if err != nil {
			// A name of /etc/iproute2/group.
			b.emit(&ruleset.Opaque{Kind: "devgroup", Understood: true, MayFail: true, Text: o.text()})
			continue
		}
		b.matchMasked(o, f, mask, value)
	}
	return nil
}

func buildRealm(b *builder, e *extension) error {
	for _, o := range e.options {
		value, mask, err := parseMasked(o.arg(), math.MaxUint32)
		if err != nil {
			// A name of /etc/iproute2/rt_realms.
			b.emit(&ruleset.Opaque{Kind: "realm", Understood: true, MayFail: true, Text: o.text()})
			continue
		}
		b.matchMasked(o, ruleset.RoutingClass, mask, value)
	}
	return nil
}

// buildPhysdev is physdev_mt of xt_physdev.c. What no bridge forwarded has no
// ports, and negated tests hold.
func buildPhysdev(b *builder, e *extension) error {
	_, bridged := e.find("physdev-is-bridged")
	_, isOut := e.find("physdev-is-out")
	for _, o := range e.options {
		f := ruleset.InPhysical
		if o.name != "physdev-in" && o.name != "physdev-is-in" {
			f = ruleset.OutPhysical
		}
		switch o.name {
		case "physdev-in", "physdev-out":
			// A frame that a bridge took in and that does not leave by a port
			// passes a test of the port that it leaves by.
			if o.name == "physdev-out" && !bridged && !isOut {
				b.emit(&ruleset.Opaque{Kind: "physdev", Understood: true, MayFail: true, Text: o.text()})
				continue
			}
			r, err := interfaceRange(o.arg())
			if err != nil {
				return badValue(o, err)
			}
			b.withoutField(compare(o, f, r))
		default:
			named := ruleset.Range{From: padded(f, []byte{1}), To: padded(f, nil)}
			for i := range named.To {
				named.To[i] = 0xff
			}
			b.withoutField(compare(o, f, named))
		}
	}
	return nil
}
