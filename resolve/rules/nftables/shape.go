package nftables

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// shape follows a rule's expressions to tell whether iptables-nft can have
// written it.
//
// It matters because iptables-nft-save prints some of nft's rules wrong without
// a word: 1.8.9 shows "ip saddr { 1.1.1.1, 2.2.2.2 } counter drop" as
// "-A INPUT -j DROP", "udp length 100" as "-p udp", and the range of addresses
// 1.1.1.1-1.1.1.5 as "-s 1.1.1.5/32". So its text is taken only for rules made
// of what it writes itself, seen in the rules of 70 of its matches and targets.
type shape struct {
	foreign bool // something else is in it
	counts  bool // it gives each rule a counter

	last   field     // that was loaded last
	loaded [16]field // all that were
	n      int
}

// field is a part of a packet, or with base meta a property of it.
type field struct{ base, offset, length uint32 }

const metaBase = 1 << 16 // beside the kernel's payload bases

// written reports whether iptables-nft can have written the rule.
func (s *shape) written() bool { return s.counts && !s.foreign }

// add looks at the next expression of a rule of that family.
func (s *shape) add(family uint8, name, data []byte, outer *nlattr.Attrs) {
	switch string(name) {
	case "counter":
		s.counts = true
	case "match", "target", "limit", "log", "immediate", "bitwise":
		// What iptables cannot show of these, it refuses aloud.
	case "payload":
		s.payload(family, data, outer)
	case "meta":
		s.meta(data, outer)
	case "cmp":
		s.compare(data, outer)
	case "range":
		s.foreign = s.foreign || !s.last.isPort()
	default:
		s.foreign = true
	}
}

func (s *shape) payload(family uint8, data []byte, outer *nlattr.Attrs) {
	var f field
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_PAYLOAD_BASE:
			f.base = a.Uint32()
		case unix.NFTA_PAYLOAD_OFFSET:
			f.offset = a.Uint32()
		case unix.NFTA_PAYLOAD_LEN:
			f.length = a.Uint32()
		case unix.NFTA_PAYLOAD_SREG:
			s.foreign = true // it writes to the packet
		}
	}
	outer.Bad = outer.Bad || a.Bad
	s.load(f, f.inIPTables(family))
}

func (s *shape) meta(data []byte, outer *nlattr.Attrs) {
	var (
		key   uint32
		write bool
	)
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_META_KEY:
			key = a.Uint32()
		case unix.NFTA_META_SREG:
			write = true
		}
	}
	outer.Bad = outer.Bad || a.Bad
	switch key {
	case unix.NFT_META_NFTRACE:
		s.foreign = s.foreign || !write // -j TRACE
	case unix.NFT_META_L4PROTO, unix.NFT_META_PROTOCOL, unix.NFT_META_IIFNAME, unix.NFT_META_OIFNAME,
		unix.NFT_META_MARK, unix.NFT_META_PKTTYPE:
		s.load(field{base: metaBase, offset: key}, !write)
	default:
		s.foreign = true
	}
}

// load notes a field. A second test of one field would replace the first in
// iptables' text.
func (s *shape) load(f field, known bool) {
	for _, other := range s.loaded[:s.n] {
		if other.base == f.base && other.offset == f.offset {
			known = false
		}
	}
	if s.last = f; !known || s.n == len(s.loaded) {
		s.foreign = true
		return
	}
	s.loaded[s.n] = f
	s.n++
}

// compare allows "less" and "greater" only where iptables has words for them.
func (s *shape) compare(data []byte, outer *nlattr.Attrs) {
	a := nlattr.Walk(data)
	for a.Next() {
		if a.Type != unix.NFTA_CMP_OP {
			continue
		}
		switch a.Uint32() {
		case unix.NFT_CMP_EQ, unix.NFT_CMP_NEQ:
		case unix.NFT_CMP_LT, unix.NFT_CMP_GT:
			s.foreign = s.foreign || !s.last.isPort() && !s.last.isTTL()
		default:
			s.foreign = s.foreign || !s.last.isPort()
		}
	}
	outer.Bad = outer.Bad || a.Bad
}

func (f field) isPort() bool {
	return f.base == unix.NFT_PAYLOAD_TRANSPORT_HEADER && f.length == 2 && (f.offset == 0 || f.offset == 2)
}

// isTTL holds for IPv4's TTL and IPv6's hop limit.
func (f field) isTTL() bool {
	return f.base == unix.NFT_PAYLOAD_NETWORK_HEADER && f.length == 1 && (f.offset == 8 || f.offset == 7)
}

// inIPTables reports whether iptables-nft has a match for the field.
func (f field) inIPTables(family uint8) bool {
	switch f.base {
	case unix.NFT_PAYLOAD_LL_HEADER:
		// Both addresses and the type, of ebtables.
		return family == unix.NFPROTO_BRIDGE && (f.offset == 0 || f.offset == 6 || f.offset == 12 && f.length == 2)
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		// Ports (both at once too), ICMP's type with its code, TCP's flags.
		return f.offset == 0 && (f.length == 1 || f.length == 2 || f.length == 4) ||
			f.offset == 2 && f.length == 2 || f.offset == 13 && f.length == 1
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		return f.inNetworkHeader(family)
	}
	return false
}

// inNetworkHeader leaves the length of addresses free: a prefix of whole bytes
// is loaded short.
func (f field) inNetworkHeader(family uint8) bool {
	switch family {
	case unix.NFPROTO_IPV4: // fragment, TTL, protocol, addresses
		return f.offset == 6 && f.length == 2 || (f.offset == 8 || f.offset == 9) && f.length == 1 ||
			(f.offset == 12 || f.offset == 16) && f.length <= 4
	case unix.NFPROTO_IPV6: // next header, hop limit, addresses
		return (f.offset == 6 || f.offset == 7) && f.length == 1 || (f.offset == 8 || f.offset == 24) && f.length <= 16
	case unix.NFPROTO_ARP: // types, lengths, operation, addresses
		switch f.offset {
		case 0, 2, 4, 5, 6, 8, 14, 18, 24:
			return true
		}
	}
	return false
}
