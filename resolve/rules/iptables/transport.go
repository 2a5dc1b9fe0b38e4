package iptables

import (
	"fmt"
	"math"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// transportSpec has the matches of what stands behind the network header.
func transportSpec(family, name string) *spec {
	const sport, dport = "sport/source-port/source-ports=1", "dport/destination-port/destination-ports=1"
	switch name {
	case "tcp":
		return newSpec(buildTCP, sport, dport, "tcp-flags=2", "syn", "tcp-option=1")
	case "udp":
		return newSpec(buildUDP, sport, dport)
	case "udplite":
		return newSpec(buildUDP, sport, dport)
	case "sctp":
		return newSpec(buildSCTP, sport, dport, "chunk-types=2")
	case "dccp":
		return newSpec(buildDCCP, sport, dport, "dccp-types=1", "dccp-option=1")
	case "multiport":
		return newSpec(buildMultiport, "sports/source-ports=1", "dports/destination-ports=1", "ports=1")
	case "esp":
		return newSpec(buildESP, "espspi=1")
	case "ah":
		return newSpec(buildAH, "ahspi=1", "ahlen=1", "ahres")
	case "ipcomp":
		return newSpec(buildIPComp, "ipcompspi=1", "compres")
	case "icmp":
		if family == "ip" {
			return newSpec(buildICMP, "icmp-type=1")
		}
	case "icmp6", "icmpv6", "ipv6-icmp":
		if family == "ip6" {
			return newSpec(buildICMP, "icmpv6-type/icmp6-type=1")
		}
	}
	return nil
}

// buildPort makes --sport or --dport, and tells whether the option is one.
func (b *builder) buildPort(o option) (bool, error) {
	f := ruleset.SourcePort
	switch o.name {
	case "dport":
		f = ruleset.DestinationPort
	case "sport":
	default:
		return false, nil
	}
	r, err := parsePorts(o.arg())
	if err != nil {
		return true, badValue(o, err)
	}
	b.match(o, f, r)
	return true, nil
}

// buildTCP is tcp_mt of xt_tcpudp.c.
func buildTCP(b *builder, e *extension) error {
	_, options := e.find("tcp-option")
	b.header(e, ruleset.Header{Size: 20, Options: options, FragmentOverwrite: true})
	for _, o := range e.options {
		if ok, err := b.buildPort(o); ok || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		var err error
		switch o.name {
		case "syn":
			b.matchMasked(o, ruleset.TCPFlags, 0x17, 0x02) // of FIN SYN RST ACK only SYN
		case "tcp-flags":
			err = b.buildTCPFlags(o)
		case "tcp-option":
			err = b.buildTCPOption(o)
		}
		if err != nil {
			return badValue(o, err)
		}
	}
	return nil
}

func (b *builder) buildTCPFlags(o option) error {
	mask, err := tcpFlags(o.args[0])
	if err != nil {
		return err
	}
	value, err := tcpFlags(o.args[1])
	if err != nil {
		return err
	}
	b.matchMasked(o, ruleset.TCPFlags, mask, value)
	return nil
}

func tcpFlags(s string) (flags uint64, err error) {
	for name := range strings.SplitSeq(s, ",") {
		switch strings.ToUpper(name) {
		case "FIN":
			flags |= 0x01
		case "SYN":
			flags |= 0x02
		case "RST":
			flags |= 0x04
		case "PSH":
			flags |= 0x08
		case "ACK":
			flags |= 0x10
		case "URG":
			flags |= 0x20
		case "ALL":
			flags |= 0x3f
		case "NONE":
		default:
			return 0, fmt.Errorf("%q is no TCP flag: %w", name, ErrSyntax)
		}
	}
	return flags, nil
}

// tcpOptionHeader is NFT_EXTHDR_OP_TCPOPT.
const tcpOptionHeader = 1

func (b *builder) buildTCPOption(o option) error {
	n, err := parseNumber(o.arg(), 255)
	if err != nil {
		return err
	}
	f, ok := ruleset.Extension(tcpOptionHeader, uint8(n), 0, 0)
	if !ok {
		return ErrSyntax
	}
	b.match(o, f, number(f, 1, 1))
	return nil
}

func buildUDP(b *builder, e *extension) error {
	b.header(e, ruleset.Header{Size: 8})
	for _, o := range e.options {
		if _, err := b.buildPort(o); err != nil {
			return err
		}
	}
	return nil
}

func buildSCTP(b *builder, e *extension) error {
	b.header(e, ruleset.Header{Size: 12})
	for _, o := range e.options {
		if ok, err := b.buildPort(o); err != nil {
			return err
		} else if !ok {
			b.emit(&ruleset.Opaque{
				Kind: "sctp chunk", Understood: true, MayFail: true, MayDrop: true, Text: o.text(),
			})
		}
	}
	return nil
}

// buildDCCP is dccp_mt. The type is 4 bits of byte 8, above the lowest.
func buildDCCP(b *builder, e *extension) error {
	b.header(e, ruleset.Header{Size: 12})
	f, _ := ruleset.Payload(ruleset.Transport, 8, 1)
	for _, o := range e.options {
		ok, err := b.buildPort(o)
		switch {
		case err != nil:
			return err
		case ok:
		case o.name == "dccp-option":
			b.emit(&ruleset.Opaque{
				Kind: "dccp option", Understood: true, MayFail: true, MayDrop: true, Text: o.text(),
			})
		default:
			var ranges []ruleset.Range
			for name := range strings.SplitSeq(o.arg(), ",") {
				n, err := dccpType(name)
				if err != nil {
					return badValue(o, err)
				}
				ranges = append(ranges, number(f, n<<1, n<<1))
			}
			m := compare(o, f, ranges...)
			m.Mask = []byte{0x1e}
			b.emit(m)
		}
	}
	return nil
}

func dccpType(name string) (uint64, error) {
	for i, known := range []string{
		"REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID",
	} {
		if strings.EqualFold(name, known) {
			return uint64(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no DCCP type: %w", name, ErrSyntax)
}

// buildMultiport is multiport_mt of xt_multiport.c.
func buildMultiport(b *builder, e *extension) error {
	b.header(e, ruleset.Header{Size: 4})
	for _, o := range e.options {
		var ranges []ruleset.Range
		for item := range strings.SplitSeq(o.arg(), ",") {
			r, err := parsePorts(item)
			if err != nil {
				return badValue(o, err)
			}
			ranges = append(ranges, r)
		}
		switch {
		case o.name == "sports":
			b.match(o, ruleset.SourcePort, ranges...)
		case o.name == "dports":
			b.match(o, ruleset.DestinationPort, ranges...)
		case o.neg:
			b.match(o, ruleset.SourcePort, ranges...)
			b.match(o, ruleset.DestinationPort, ranges...)
		default:
			b.emit(&ruleset.Any{Text: o.text(), Of: [][]ruleset.Statement{
				{compare(o, ruleset.SourcePort, ranges...)},
				{compare(o, ruleset.DestinationPort, ranges...)},
			}})
		}
	}
	return nil
}

// buildSPI makes a test of a number in the header, with nothing said where the
// option is not given: iptables then takes all.
func (b *builder) buildSPI(o option, offset, length int) error {
	f, _ := ruleset.Payload(ruleset.Transport, offset, length)
	from, to, err := parseInterval(o.arg(), ":", math.MaxUint64>>(64-8*length))
	if err != nil {
		return badValue(o, err)
	}
	b.match(o, f, number(f, from, to))
	return nil
}

func buildESP(b *builder, e *extension) error {
	b.header(e, ruleset.Header{Size: 8})
	for _, o := range e.options {
		if err := b.buildSPI(o, 0, 4); err != nil {
			return err
		}
	}
	return nil
}

// buildAH is ah_mt of ipt_ah.c. IPv6's looks for the header among others.
func buildAH(b *builder, e *extension) error {
	if b.family == "ip6" {
		b.emit(&ruleset.Opaque{Kind: "ah", Understood: true, MayFail: true, MayDrop: true, Text: e.text()})
		return nil
	}
	b.header(e, ruleset.Header{Size: 12})
	for _, o := range e.options {
		if o.name != "ahspi" {
			return badValue(o, ErrSyntax)
		}
		if err := b.buildSPI(o, 4, 4); err != nil {
			return err
		}
	}
	return nil
}

// buildIPComp is comp_mt of xt_ipcomp.c. --compres tests a bit that the kernel
// does not look at any more.
func buildIPComp(b *builder, e *extension) error {
	b.header(e, ruleset.Header{Size: 4})
	for _, o := range e.options {
		if o.name != "ipcompspi" {
			continue
		}
		if err := b.buildSPI(o, 2, 2); err != nil {
			return err
		}
	}
	return nil
}
