package iptables

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// natSpec has the targets that translate addresses.
func natSpec(family, name string) *spec {
	nat := func(kind ruleset.NATKind, options ...string) *spec {
		return newSpec(func(b *builder, e *extension) error {
			return b.buildNAT(e, kind)
		}, append(options, "random", "random-fully", "persistent")...)
	}
	switch name {
	case "SNAT":
		return nat(ruleset.SNAT, "to/to-source=1")
	case "DNAT":
		return nat(ruleset.DNAT, "to/to-destination=1")
	case "MASQUERADE":
		return nat(ruleset.Masquerade, "to-ports=1")
	case "REDIRECT":
		return nat(ruleset.Redirect, "to-ports=1")
	case "NETMAP":
		return nat(ruleset.NetMap, "to=1")
	case "SNPT", "DNPT":
		if family == "ip6" {
			return newSpec(buildNPT, "src-pfx=1", "dst-pfx=1")
		}
	}
	return nil
}

func (b *builder) buildNAT(e *extension, kind ruleset.NATKind) error {
	n := &ruleset.NAT{Kind: kind, Known: true, Text: e.text()}
	for i, o := range e.options {
		var err error
		switch {
		case o.name == "to-ports":
			err = setPorts(n, o.arg())
		case o.name == "to" && kind == ruleset.NetMap:
			err = b.setPrefix(n, o.arg())
		case o.name == "to":
			// Up to kernel 2.6 there could be several.
			n.Known = n.Known && i == 0
			err = b.setAddress(n, o.arg())
		}
		if err != nil {
			return badValue(o, err)
		}
	}
	b.emit(n)
	return nil
}

// setAddress reads `address[-address][:port[-port[/base]]]`, or only `:port`; an
// IPv6 address before a port stands in brackets.
func (b *builder) setAddress(n *ruleset.NAT, s string) error {
	addresses, ports := s, ""
	switch i := strings.LastIndexByte(s, ']'); {
	case strings.HasPrefix(s, "[") && i > 0:
		addresses, ports = s[1:i], s[i+1:]
		if ports != "" && ports[0] != ':' {
			return fmt.Errorf("%q is no address: %w", s, ErrSyntax)
		}
		ports = strings.TrimPrefix(ports, ":")
	case b.family == "ip":
		addresses, ports, _ = strings.Cut(s, ":")
	}
	if addresses != "" {
		// [a]-[b]:80 is also written [a-b]:80.
		first, last, isRange := strings.Cut(strings.NewReplacer("[", "", "]", "").Replace(addresses), "-")
		if !isRange {
			last = first
		}
		var err error
		if n.From, err = parseAddress(b.family, first); err != nil {
			return err
		}
		if n.To, err = parseAddress(b.family, last); err != nil {
			return err
		}
	}
	if ports == "" {
		return nil
	}
	return setPorts(n, ports)
}

// setPorts reads `port[-port[/base]]`.
func setPorts(n *ruleset.NAT, s string) error {
	s, _, shifted := strings.Cut(s, "/")
	// With a base the new port depends on the old one.
	n.Known = n.Known && !shifted
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	from, err := parsePort(first)
	if err != nil {
		return err
	}
	to, err := parsePort(last)
	if err != nil {
		return err
	}
	n.FromPort, n.ToPort = uint16(from), uint16(to)
	return nil
}

// setPrefix reads NETMAP's network: the other bits stay.
func (b *builder) setPrefix(n *ruleset.NAT, s string) error {
	address, mask, err := parseNetwork(b.family, s)
	if err != nil {
		return err
	}
	if !contiguous(mask) {
		n.Known = false
		return nil
	}
	r := network(address, mask)
	n.From, _ = netip.AddrFromSlice(r.From)
	n.To, _ = netip.AddrFromSlice(r.To)
	return nil
}

// buildNPT is ip6t_NPT.c, which writes a prefix into the header without
// conntrack, and drops what it cannot.
func buildNPT(b *builder, e *extension) error {
	f := ruleset.IP6Source
	if e.name == "DNPT" {
		f = ruleset.IP6Destination
	}
	b.emit(&ruleset.Opaque{Kind: e.name, Understood: true, MayDrop: true, Text: e.text()},
		&ruleset.Assign{Field: f, Text: e.text()})
	return nil
}
