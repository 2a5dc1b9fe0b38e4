package iptables

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// buildAddressType is addrtype_mt_v1 of xt_addrtype.c.
func buildAddressType(b *builder, e *extension) error {
	key := uint8(0)
	if _, ok := e.find("limit-iface-in"); ok {
		key |= ruleset.FIBIn
	}
	if _, ok := e.find("limit-iface-out"); ok {
		key |= ruleset.FIBOut
	}
	for _, o := range e.options {
		side, address6 := uint8(ruleset.FIBSource), ruleset.IP6Source
		switch o.name {
		case "src-type":
		case "dst-type":
			side, address6 = ruleset.FIBDest, ruleset.IP6Destination
		default:
			continue
		}
		types, err := addressTypes(o.arg())
		if err != nil {
			return badValue(o, err)
		}
		f := ruleset.FIB(key|side, ruleset.FIBType)
		if b.family == "ip6" {
			b.emit(addressType6(o, f, address6, types))
			continue
		}
		b.match(o, f, typeRanges(f, types)...)
	}
	return nil
}

// RTN_* of uapi linux/rtnetlink.h.
const (
	rtnUnspec    = 0
	rtnUnicast   = 1
	rtnMulticast = 5
)

// addressTypes reads names into a bit for each RTN_* of uapi linux/rtnetlink.h.
func addressTypes(s string) (types uint16, err error) {
	known := []string{
		"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT",
		"THROW", "NAT", "XRESOLVE",
	}
next:
	for name := range strings.SplitSeq(s, ",") {
		for i, k := range known {
			if strings.EqualFold(name, k) {
				types |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("%q is no address type: %w", name, ErrSyntax)
	}
	return types, nil
}

func typeRanges(f ruleset.Field, types uint16) (ranges []ruleset.Range) {
	for types != 0 {
		n := uint64(bits.TrailingZeros16(types))
		types &= types - 1
		ranges = append(ranges, number(f, n, n))
	}
	return ranges
}

// addressType6 is match_type6: unlike IPv4's, all kinds of type asked for must
// hold, those that a route tells as one kind.
func addressType6(o option, f, address ruleset.Field, types uint16) ruleset.Statement {
	neg := o.neg
	o.neg = false
	var all []ruleset.Statement
	if types&(1<<rtnMulticast) != 0 {
		all = append(all, compare(o, address, networkOf("ff00::/8")))
	}
	if types&(1<<rtnUnicast) != 0 {
		not := o
		not.neg = true
		all = append(all, compare(not, address,
			networkOf("ff00::/8"), networkOf("::/128"), networkOf("::ffff:0:0/96")))
	}
	if types&(1<<rtnUnspec) != 0 {
		all = append(all, compare(o, address, networkOf("::/128")))
	}
	if routed := types &^ (1<<rtnMulticast | 1<<rtnUnicast | 1<<rtnUnspec); routed != 0 {
		all = append(all, compare(o, f, typeRanges(f, routed)...))
	}
	if len(all) == 1 && !neg {
		return all[0]
	}
	return &ruleset.Any{Of: [][]ruleset.Statement{all}, Negate: neg, Text: o.text()}
}

// networkOf is for prefixes that stand in this package.
func networkOf(s string) ruleset.Range {
	p := netip.MustParsePrefix(s)
	mask := make([]byte, 16)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return network(p.Addr().AsSlice(), mask)
}
