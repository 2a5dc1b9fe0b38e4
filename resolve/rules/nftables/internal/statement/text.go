package statement

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// matchText writes a match as nft does. op is how it compares where that is not
// plain from its range: <, <=, > or >=.
func (d *Decoder) matchText(m *ruleset.Match, op string) string {
	if len(m.Fields) > 1 {
		return d.severalText(m)
	}
	f := m.Fields[0]
	if f == ruleset.IPDSCP && len(m.Mask) == 1 && m.Mask[0] == 3 && len(m.Ranges) == 1 {
		implied(d.context.networkBy)
		return "ip ecn" + not(m.Negate) + strconv.Itoa(int(m.Ranges[0].From[0]))
	}
	name := d.fieldText(f)
	if len(m.Ranges) == 0 {
		return name + " (no value)"
	}
	r := m.Ranges[0]
	if m.Mask != nil {
		return name + d.context.maskedText(f, m.Mask, r, m.Negate)
	}
	if ext, ok := presenceText(f, r, m.Negate); ok {
		return name + ext
	}
	switch op {
	case "<":
		limit := bytes.Clone(r.To)
		increment(limit)
		return name + " < " + d.context.valueText(f, limit)
	case ">":
		limit := bytes.Clone(r.From)
		decrement(limit)
		return name + " > " + d.context.valueText(f, limit)
	case "<=":
		return name + " <= " + d.context.valueText(f, r.To)
	case ">=":
		return name + " >= " + d.context.valueText(f, r.From)
	}
	return name + not(m.Negate) + d.context.rangeText(f, r.From, r.To)
}

// severalText writes a comparison of fields side by side.
func (d *Decoder) severalText(m *ruleset.Match) string {
	var names, values []string
	r := m.Ranges[0]
	from, to := r.From, r.To
	for _, f := range m.Fields {
		n := f.Size()
		names = append(names, d.fieldText(f))
		values = append(values, d.context.rangeText(f, from[:n], to[:n]))
		from, to = from[n:], to[n:]
	}
	op := " "
	if m.Negate {
		op = " != "
	}
	return strings.Join(names, " . ") + op + strings.Join(values, " . ")
}

// presenceText is for fields that say only whether something is there.
func presenceText(f ruleset.Field, r ruleset.Range, negate bool) (string, bool) {
	_, _, _, length, extension := f.IsExtension()
	_, result, fib := f.IsFIB()
	if !extension && !fib || extension && length != 0 || fib && result != ruleset.FIBPresent || !bytes.Equal(r.From, r.To) {
		return "", false
	}
	if isZero(r.From) != negate {
		return " missing", true
	}
	return " exists", true
}

// maskedText writes the comparison of a field's bits, the field's name left out.
func (c context) maskedText(f ruleset.Field, mask []byte, r ruleset.Range, negate bool) string {
	switch {
	case isClass(f, mask) && bytes.Equal(r.From, r.To):
		return not(negate) + c.valueText(f, r.From)
	case isZero(r.From) && isZero(r.To) && hasFlags(f):
		if negate {
			return " " + flagsText(f, mask)
		}
		return " ! " + flagsText(f, mask)
	case hasFlags(f):
		return not(negate) + flagsText(f, r.From) + " / " + flagsText(f, mask)
	}
	op := " == "
	if negate {
		op = " != "
	}
	return " & " + c.valueText(f, mask) + op + c.rangeText(f, r.From, r.To)
}

func not(negate bool) string {
	if negate {
		return " != "
	}
	return " "
}

// prefix is how many bits are set from the front, if none is behind them.
func prefix(mask []byte) (int, bool) {
	ones, size := net.IPMask(mask).Size()
	return ones, size != 0
}

func isAddress(f ruleset.Field) bool {
	switch f {
	case ruleset.IPSource, ruleset.IPDestination, ruleset.IP6Source, ruleset.IP6Destination,
		ruleset.CTOrigSource, ruleset.CTOrigDest, ruleset.CTReplySource, ruleset.CTReplyDest:
		return true
	}
	return false
}

// rangeText writes one value, a prefix, or the ends of a range.
func (c context) rangeText(f ruleset.Field, from, to []byte) string {
	if bytes.Equal(from, to) {
		return c.valueText(f, from)
	}
	switch {
	case isName(f):
		same := 0
		for same < len(from) && from[same] == to[same] {
			same++
		}
		return `"` + string(from[:same]) + `*"`
	case isAddress(f):
		if len(from) == 16 && !isIP6(f) && isZero(from[4:]) {
			from, to = from[:4], to[:4] // conntrack's IPv4
		}
		if bits, ok := prefixOf(from, to); ok {
			if bits == 8*len(from) {
				return address(from)
			}
			return address(from) + "/" + strconv.Itoa(bits)
		}
	}
	return c.valueText(f, from) + "-" + c.valueText(f, to)
}

func isIP6(f ruleset.Field) bool { return f == ruleset.IP6Source || f == ruleset.IP6Destination }

// prefixOf is the length of the prefix that the range is.
func prefixOf(from, to []byte) (bits int, ok bool) {
	diff := make([]byte, len(from))
	for i := range from {
		diff[i] = ^(from[i] ^ to[i])
		if from[i]&^diff[i] != 0 || to[i]&^diff[i] != ^diff[i] {
			return 0, false
		}
	}
	if isZero(diff) {
		return 0, true
	}
	return prefix(diff)
}

func address(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return "0x" + hex.EncodeToString(b)
	}
	return a.String()
}

func isName(f ruleset.Field) bool {
	switch f {
	case ruleset.InName, ruleset.OutName, ruleset.InBridge, ruleset.OutBridge, ruleset.InPhysical, ruleset.OutPhysical, ruleset.CTHelper:
		return true
	}
	_, result, ok := f.IsFIB()
	return ok && result == ruleset.FIBOutName
}

// valueText writes one value of the field.
func (c context) valueText(f ruleset.Field, b []byte) string {
	switch {
	case isName(f):
		return `"` + string(bytes.TrimRight(b, "\x00")) + `"`
	case isAddress(f):
		if len(b) == 16 && !isIP6(f) && isZero(b[4:]) {
			b = b[:4]
		}
		return address(b)
	case f == ruleset.SourceMAC || f == ruleset.DestinationMAC:
		return net.HardwareAddr(b).String()
	case hasFlags(f):
		return flagsText(f, b)
	case f == ruleset.Mark || f == ruleset.CTMark:
		return fmt.Sprintf("0x%08x", number(b))
	case f == ruleset.Priority:
		return fmt.Sprintf("%x:%x", number(b)>>16, number(b)&0xffff)
	case f == ruleset.IPDSCP && b[0]&3 == 0:
		return className(b[0] >> 2)
	case f == classOfIP6() && c.network == unix.NFPROTO_IPV6:
		return className(byte(number(b) >> 6))
	}
	if name := c.valueName(f, number(b)); name != "" {
		return name
	}
	if len(b) > 8 {
		return "0x" + hex.EncodeToString(b)
	}
	return strconv.FormatUint(number(b), 10)
}

// valueName is nft's word for a number; empty where it has none.
func (c context) valueName(f ruleset.Field, n uint64) string {
	switch f {
	case ruleset.L4Protocol, ruleset.IPProtocol, ruleset.IP6NextHeader, ruleset.CTProtocol:
		return protocolName(n)
	case ruleset.NFProto, ruleset.CTL3Protocol:
		switch n {
		case unix.NFPROTO_IPV4:
			return "ipv4"
		case unix.NFPROTO_IPV6:
			return "ipv6"
		}
	case ruleset.EtherType, ruleset.LinkType:
		switch n {
		case unix.ETH_P_IP:
			return "ip"
		case unix.ETH_P_IPV6:
			return "ip6"
		case unix.ETH_P_ARP:
			return "arp"
		case unix.ETH_P_8021Q:
			return "8021q"
		}
	case ruleset.InType, ruleset.OutType:
		if n == unix.ARPHRD_ETHER {
			return "ether"
		}
	case ruleset.InIndex, ruleset.OutIndex:
		if n == 1 {
			return `"lo"` // in every namespace
		}
	case ruleset.ICMPType:
		return icmpName(c.transport, n)
	case ruleset.CTDirection:
		return [...]string{"original", "reply"}[min(n, 1)]
	case ruleset.PacketType:
		if n < 4 {
			return [...]string{"host", "broadcast", "multicast", "other"}[n]
		}
	}
	if _, result, ok := f.IsFIB(); ok && result == ruleset.FIBType {
		return routeType(n)
	}
	return ""
}

func protocolName(n uint64) string {
	switch n {
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_IGMP:
		return "igmp"
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_DCCP:
		return "dccp"
	case unix.IPPROTO_GRE:
		return "gre"
	case unix.IPPROTO_ESP:
		return "esp"
	case unix.IPPROTO_AH:
		return "ah"
	case unix.IPPROTO_ICMPV6:
		return "ipv6-icmp"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_UDPLITE:
		return "udplite"
	}
	return ""
}

// routeType is the name of an RTN_* number.
func routeType(n uint64) string {
	names := [...]string{
		"unspec", "unicast", "local", "broadcast", "anycast", "multicast",
		"blackhole", "unreachable", "prohibit", "throw", "nat",
	}
	if n < uint64(len(names)) {
		return names[n]
	}
	return ""
}

func familyText(family byte) string { return context{}.valueName(ruleset.NFProto, uint64(family)) }
