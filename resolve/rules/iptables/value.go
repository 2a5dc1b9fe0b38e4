package iptables

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// parseNumber reads a number as iptables does: decimal, 0x or octal.
func parseNumber(s string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil || n > most || strings.Contains(s, "_") || strings.HasPrefix(strings.ToLower(s), "0b") {
		return 0, fmt.Errorf("%q is no number up to %d: %w", s, most, ErrSyntax)
	}
	return n, nil
}

// parseInterval reads `a`, `a:b`, `a:` and `:b`.
func parseInterval(s, separator string, most uint64) (from, to uint64, err error) {
	first, last, isRange := strings.Cut(s, separator)
	if !isRange {
		from, err = parseNumber(s, most)
		return from, from, err
	}
	to = most
	if first != "" {
		from, err = parseNumber(first, most)
	}
	if err == nil && last != "" {
		to, err = parseNumber(last, most)
	}
	if err == nil && from > to {
		err = fmt.Errorf("%q runs backwards: %w", s, ErrSyntax)
	}
	return from, to, err
}

// parseMasked reads `value/mask`; without a mask it is all bits.
func parseMasked(s string, most uint64) (value, mask uint64, err error) {
	first, last, hasMask := strings.Cut(s, "/")
	value, err = parseNumber(first, most)
	mask = most
	if err == nil && hasMask {
		mask, err = parseNumber(last, most)
	}
	return value, mask, err
}

// parsePort reads a port by number or, as /etc/services has it, by name.
func parsePort(s string) (uint64, error) {
	n, err := parseNumber(s, math.MaxUint16)
	if err == nil || s == "" || strings.Trim(s, "0123456789") == "" {
		return n, err
	}
	for _, network := range []string{"tcp", "udp"} {
		if port, err := net.LookupPort(network, s); err == nil {
			return uint64(port), nil
		}
	}
	return 0, fmt.Errorf("port %q is not known: %w", s, ErrSyntax)
}

// parsePorts reads `80`, `http`, `1000:2000`, `:1023` and `1024:`.
func parsePorts(s string) (ruleset.Range, error) {
	first, last, isRange := strings.Cut(s, ":")
	if !isRange {
		first, last = s, s
	}
	from, to := uint64(0), uint64(math.MaxUint16)
	var err error
	if first != "" || !isRange {
		from, err = parsePort(first)
	}
	if err == nil && (last != "" || !isRange) {
		to, err = parsePort(last)
	}
	if err == nil && from > to {
		err = fmt.Errorf("ports %q run backwards: %w", s, ErrSyntax)
	}
	return number(ruleset.DestinationPort, from, to), err
}

// parseAddress reads an address of the family, without zone.
func parseAddress(family, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4() != (family == "ip") {
		return a, fmt.Errorf("%q is no address of %s: %w", s, family, ErrSyntax)
	}
	return a, nil
}

// parseNetwork reads `address`, `address/bits` and `address/mask` as bytes.
func parseNetwork(family, s string) (address, mask []byte, err error) {
	text, bits, hasMask := strings.Cut(s, "/")
	if family == "ip" && strings.Count(text, ".") < 3 && hasMask {
		// 10/8 and 192.168/16, as inet_network reads them.
		text += strings.Repeat(".0", 3-strings.Count(text, "."))
	}
	a, err := parseAddress(family, text)
	if err != nil {
		return nil, nil, err
	}
	address = a.AsSlice()
	mask = bytes.Repeat([]byte{0xff}, len(address))
	if hasMask {
		if n, err := strconv.ParseUint(bits, 10, 8); err == nil && int(n) <= 8*len(address) {
			mask = net.CIDRMask(int(n), 8*len(address))
		} else if m, err := parseAddress(family, bits); err == nil {
			mask = m.AsSlice()
		} else {
			return nil, nil, fmt.Errorf("%q is no mask: %w", bits, ErrSyntax)
		}
	}
	for i := range address {
		address[i] &= mask[i]
	}
	return address, mask, nil
}

// contiguous reports whether the ones of a mask stand in front of its zeroes.
func contiguous(mask []byte) bool {
	ones, bits := net.IPMask(mask).Size()
	return ones != 0 || bits != 0
}

// network is the range of addresses that a contiguous mask leaves.
func network(address, mask []byte) ruleset.Range {
	last := make([]byte, len(address))
	for i := range last {
		last[i] = address[i] | ^mask[i]
	}
	return ruleset.Range{From: address, To: last}
}

// merge sorts ranges and joins those that overlap.
func merge(ranges []ruleset.Range) []ruleset.Range {
	if len(ranges) < 2 {
		return ranges
	}
	slices.SortFunc(ranges, func(a, b ruleset.Range) int { return bytes.Compare(a.From, b.From) })
	merged := ranges[:1]
	for _, r := range ranges[1:] {
		last := &merged[len(merged)-1]
		switch {
		case bytes.Compare(r.From, last.To) > 0:
			merged = append(merged, r)
		case bytes.Compare(r.To, last.To) > 0:
			last.To = r.To
		}
	}
	return merged
}
