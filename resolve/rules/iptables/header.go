package iptables

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// headerSpec has the matches of fields in the network header.
func headerSpec(family, name string) *spec {
	switch name {
	case "iprange":
		return newSpec(buildIPRange, "src-range=1", "dst-range=1")
	case "length":
		return newSpec(buildLength, "length=1")
	case "ttl":
		if family == "ip" {
			return newSpec(buildTTL, "eq/ttl-eq/ttl=1", "lt/ttl-lt=1", "gt/ttl-gt=1")
		}
	case "hl":
		if family == "ip6" {
			return newSpec(buildTTL, "eq/hl-eq/hl=1", "lt/hl-lt=1", "gt/hl-gt=1")
		}
	case "dscp":
		return newSpec(buildDSCP, "dscp=1", "dscp-class=1")
	case "tos":
		return newSpec(buildTOS, "tos=1")
	case "ecn":
		return newSpec(buildECN, "ecn-tcp-cwr", "ecn-tcp-ece", "ecn-ip-ect=1")
	}
	return nil
}

func buildIPRange(b *builder, e *extension) error {
	for _, o := range e.options {
		f := ruleset.IPSource
		switch {
		case b.family == "ip" && o.name == "dst-range":
			f = ruleset.IPDestination
		case b.family == "ip6" && o.name == "src-range":
			f = ruleset.IP6Source
		case b.family == "ip6":
			f = ruleset.IP6Destination
		}
		r, err := addressRange(b.family, o.arg())
		if err != nil {
			return badValue(o, err)
		}
		b.match(o, f, r)
	}
	return nil
}

// addressRange reads `first-last` or one address.
func addressRange(family, s string) (r ruleset.Range, err error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	from, err := parseAddress(family, first)
	if err != nil {
		return r, err
	}
	to, err := parseAddress(family, last)
	if err != nil {
		return r, err
	}
	r = ruleset.Range{From: from.AsSlice(), To: to.AsSlice()}
	if bytes.Compare(r.From, r.To) > 0 {
		err = fmt.Errorf("%q runs backwards: %w", s, ErrSyntax)
	}
	return r, err
}

// buildLength: IPv6's header has the length behind itself.
func buildLength(b *builder, e *extension) error {
	const ip6Header = 40
	f, offset := ruleset.IPLength, uint64(0)
	if b.family == "ip6" {
		f, _ = ruleset.Payload(ruleset.Network, 4, 2)
		offset = ip6Header
	}
	for _, o := range e.options {
		from, to, err := parseInterval(o.arg(), ":", math.MaxUint16)
		if err != nil {
			return badValue(o, err)
		}
		if to < offset { // no packet is so short
			b.emit(&ruleset.Any{Negate: o.neg, Text: o.text()})
			continue
		}
		to -= offset
		b.match(o, f, number(f, max(from, offset)-offset, to))
	}
	return nil
}

func buildTTL(b *builder, e *extension) error {
	f := ruleset.IPTTL
	if b.family == "ip6" {
		f = ruleset.IP6HopLimit
	}
	for _, o := range e.options {
		n, err := parseNumber(o.arg(), 255)
		if err != nil {
			return badValue(o, err)
		}
		switch {
		case o.name == "eq":
			b.match(o, f, number(f, n, n))
		case o.name == "lt" && n > 0:
			b.match(o, f, number(f, 0, n-1))
		case o.name == "gt" && n < 255:
			b.match(o, f, number(f, n+1, 255))
		default: // less than 0, more than 255
			b.emit(&ruleset.Any{Negate: o.neg, Text: o.text()})
		}
	}
	return nil
}

// trafficClass is the field with the DS byte, and how far left of the field's
// end it stands: IPv6 has it across two bytes.
func (b *builder) trafficClass() (f ruleset.Field, shift int) {
	if b.family == "ip6" {
		f, _ = ruleset.Payload(ruleset.Network, 0, 2)
		return f, 4
	}
	return ruleset.IPDSCP, 0
}

func (b *builder) matchTrafficClass(o option, mask, value uint64) {
	f, shift := b.trafficClass()
	b.matchMasked(o, f, mask<<shift, value<<shift)
}

func buildDSCP(b *builder, e *extension) error {
	for _, o := range e.options {
		n, err := dscp(o)
		if err != nil {
			return badValue(o, err)
		}
		b.matchTrafficClass(o, 0xfc, n<<2)
	}
	return nil
}

// dscp reads a codepoint, or the name of a class (RFC 2474, 2597, 3246, 5865).
func dscp(o option) (uint64, error) {
	const highest = 63
	if !strings.HasSuffix(o.name, "class") {
		return parseNumber(o.arg(), highest)
	}
	name := strings.ToUpper(o.arg())
	switch {
	case name == "BE":
		return 0, nil
	case name == "EF":
		return 46, nil
	case len(name) == 3 && name[:2] == "CS" && name[2] >= '0' && name[2] <= '7':
		return uint64(name[2]-'0') << 3, nil
	case len(name) == 4 && name[:2] == "AF" && name[2] >= '1' && name[2] <= '4' && name[3] >= '1' && name[3] <= '3':
		return uint64(name[2]-'0')<<3 | uint64(name[3]-'0')<<1, nil
	}
	return 0, fmt.Errorf("%q is no class: %w", o.arg(), ErrSyntax)
}

func buildTOS(b *builder, e *extension) error {
	for _, o := range e.options {
		value, mask, err := tos(o.arg())
		if err != nil {
			return badValue(o, err)
		}
		b.matchTrafficClass(o, mask, value)
	}
	return nil
}

// tos reads `value/mask` or one of the old names, which leave ECN's bits alone
// (tos_symbol_names of iptables' tos_values.c, mask 0x3f).
func tos(s string) (value, mask uint64, err error) {
	switch strings.ToLower(s) {
	case "minimize-delay":
		return 0x10, 0x3f, nil
	case "maximize-throughput":
		return 0x08, 0x3f, nil
	case "maximize-reliability":
		return 0x04, 0x3f, nil
	case "minimize-cost":
		return 0x02, 0x3f, nil
	case "normal-service":
		return 0, 0x3f, nil
	}
	return parseMasked(s, 0xff)
}

// buildECN is ecn_mt4 and ecn_mt6 of xt_ecn.c.
func buildECN(b *builder, e *extension) error {
	const cwr, ece = 0x80, 0x40
	for _, o := range e.options {
		switch o.name {
		case "ecn-tcp-cwr":
			b.matchTCPBit(o, cwr)
		case "ecn-tcp-ece":
			b.matchTCPBit(o, ece)
		case "ecn-ip-ect":
			n, err := parseNumber(o.arg(), 3)
			if err != nil {
				return badValue(o, err)
			}
			b.matchTrafficClass(o, 0x03, n)
		}
	}
	return nil
}

// matchTCPBit compares a flag. The kernel does not look whether the packet is a
// later fragment, and takes whatever stands in its place there.
func (b *builder) matchTCPBit(o option, bit uint64) {
	f := ruleset.TCPFlags
	has := compare(option{words: o.words}, f, number(f, 0, 0xff))
	b.emit(&ruleset.Any{Text: o.text(), Of: [][]ruleset.Statement{
		{anyBit(o, f, bit)},
		{
			&ruleset.Any{Of: [][]ruleset.Statement{{has}}, Negate: true, Text: o.text()},
			&ruleset.Opaque{Kind: "ecn", Understood: true, MayFail: true, Text: o.text()},
		},
	}})
}
