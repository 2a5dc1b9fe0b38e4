package iptables

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// anyICMP is how iptables writes --icmp-type any (libxt_icmp.h); the kernel
// takes it for all types in IPv4 only.
const anyICMP = 0xff

// buildICMP is icmp_match of ip_tables.c and icmp6_match of ip6_tables.c.
func buildICMP(b *builder, e *extension) error {
	b.header(e, ruleset.Header{Size: 8})
	for _, o := range e.options {
		typ, low, high, err := icmpType(b.family, o.arg())
		if err != nil {
			return badValue(o, err)
		}
		from, to := typ<<8|low, typ<<8|high
		if b.family == "ip" && typ == anyICMP {
			if !o.neg {
				continue
			}
			from, to = 0, 0xffff
		}
		b.match(o, ruleset.ICMPTypeCode, number(ruleset.ICMPTypeCode, from, to))
	}
	return nil
}

// icmpType reads `8`, `3/1` or a name, and returns the type and its codes.
func icmpType(family, s string) (typ, low, high uint64, err error) {
	number, code, hasCode := strings.Cut(s, "/")
	if typ, err = parseNumber(number, 255); err == nil {
		if low, high = 0, 255; hasCode {
			low, err = parseNumber(code, 255)
			high = low
		}
		return typ, low, high, err
	}
	names := icmpNames()
	if family == "ip6" {
		names = icmp6Names()
	}
	for _, n := range names {
		if strings.EqualFold(n.name, s) {
			if n.code < 0 {
				return n.typ, 0, 255, nil
			}
			return n.typ, uint64(n.code), uint64(n.code), nil
		}
	}
	return 0, 0, 0, fmt.Errorf("ICMP type %q is not known: %w", s, ErrSyntax)
}

// icmpName is a type, or with a code that is not -1 one of its codes.
type icmpName struct {
	name string
	typ  uint64
	code int
}

// icmpNames are those of `iptables -p icmp -h`.
func icmpNames() []icmpName {
	return []icmpName{
		{"any", anyICMP, -1},
		{"echo-reply", 0, -1}, {"pong", 0, -1},
		{"destination-unreachable", 3, -1},
		{"network-unreachable", 3, 0}, {"host-unreachable", 3, 1}, {"protocol-unreachable", 3, 2},
		{"port-unreachable", 3, 3}, {"fragmentation-needed", 3, 4}, {"source-route-failed", 3, 5},
		{"network-unknown", 3, 6}, {"host-unknown", 3, 7}, {"network-prohibited", 3, 9},
		{"host-prohibited", 3, 10}, {"TOS-network-unreachable", 3, 11}, {"TOS-host-unreachable", 3, 12},
		{"communication-prohibited", 3, 13}, {"host-precedence-violation", 3, 14}, {"precedence-cutoff", 3, 15},
		{"source-quench", 4, -1},
		{"redirect", 5, -1},
		{"network-redirect", 5, 0}, {"host-redirect", 5, 1}, {"TOS-network-redirect", 5, 2}, {"TOS-host-redirect", 5, 3},
		{"echo-request", 8, -1}, {"ping", 8, -1},
		{"router-advertisement", 9, -1},
		{"router-solicitation", 10, -1},
		{"time-exceeded", 11, -1}, {"ttl-exceeded", 11, -1},
		{"ttl-zero-during-transit", 11, 0}, {"ttl-zero-during-reassembly", 11, 1},
		{"parameter-problem", 12, -1},
		{"ip-header-bad", 12, 0}, {"required-option-missing", 12, 1},
		{"timestamp-request", 13, -1}, {"timestamp-reply", 14, -1},
		{"address-mask-request", 17, -1}, {"address-mask-reply", 18, -1},
	}
}

// icmp6Names are those of `ip6tables -p icmpv6 -h`.
func icmp6Names() []icmpName {
	return []icmpName{
		{"destination-unreachable", 1, -1},
		{"no-route", 1, 0}, {"communication-prohibited", 1, 1}, {"beyond-scope", 1, 2},
		{"address-unreachable", 1, 3}, {"port-unreachable", 1, 4}, {"failed-policy", 1, 5}, {"reject-route", 1, 6},
		{"packet-too-big", 2, -1},
		{"time-exceeded", 3, -1}, {"ttl-exceeded", 3, -1},
		{"ttl-zero-during-transit", 3, 0}, {"ttl-zero-during-reassembly", 3, 1},
		{"parameter-problem", 4, -1},
		{"bad-header", 4, 0}, {"unknown-header-type", 4, 1}, {"unknown-option", 4, 2},
		{"echo-request", 128, -1}, {"ping", 128, -1},
		{"echo-reply", 129, -1}, {"pong", 129, -1},
		{"router-solicitation", 133, -1},
		{"router-advertisement", 134, -1},
		{"neighbour-solicitation", 135, -1}, {"neighbor-solicitation", 135, -1},
		{"neighbour-advertisement", 136, -1}, {"neighbor-advertisement", 136, -1},
		{"redirect", 137, -1},
	}
}
