package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"golang.org/x/sys/unix"
)

// path is the way of a packet through the router.
type path int

const (
	receive path = iota
	forward
	output
)

func (p path) String() string { return [...]string{"receive", "forward", "output"}[p] }

// spec is a packet without its id: packets of one spec meet the same fate.
type spec struct {
	V6      bool
	Path    path
	Proto   uint8  // unix.IPPROTO_*
	Flags   uint8  // of TCP
	Type    uint8  // of ICMP
	Dport   uint16 // not of ICMP
	Source  int    // index of the client's address
	Payload int
	// Options stand between the network header and the transport header.
	Options bool
	TTL     uint8 // 0 is 64
	TOS     uint8
}

func (s spec) String() string {
	family := "ip"
	if s.V6 {
		family = "ip6"
	}
	return fmt.Sprintf("%s %s proto %d flags %#x type %d dport %d source %d payload %d options %v ttl %d tos %d",
		s.Path, family, s.Proto, s.Flags, s.Type, s.Dport, s.Source, s.Payload, s.Options, s.TTL, s.TOS)
}

const (
	firstPort = 1001
	ports     = 8
	sources   = 4
)

func addr(v6 bool, net, host int) netip.Addr {
	if v6 {
		return netip.MustParseAddr(fmt.Sprintf("fd77:%d::%x", net, host))
	}
	return netip.AddrFrom4([4]byte{10, 77, byte(net), byte(host)})
}

func clientAddr(v6 bool, i int) netip.Addr { return addr(v6, 1, 16+i) }

// randomSpec makes one packet. v6 is given, as iptables has one ruleset for each.
func randomSpec(r *rand.Rand) spec {
	s := spec{
		V6: r.IntN(2) == 0, Dport: firstPort + uint16(r.IntN(ports)),
		Source: r.IntN(sources), Payload: 4 + r.IntN(60),
	}
	s.Path = []path{receive, receive, forward, forward, output}[r.IntN(5)]
	switch r.IntN(7) {
	case 0, 1, 2:
		s.Proto = unix.IPPROTO_UDP
	case 3, 4:
		s.Proto, s.Flags = unix.IPPROTO_TCP, 0x02
	case 5: // invalid for conntrack
		s.Proto, s.Flags = unix.IPPROTO_TCP, []uint8{0x10, 0x04}[r.IntN(2)]
	case 6:
		reply := r.IntN(3) == 0 // of nothing, so invalid
		s.Dport = 0
		s.Proto, s.Type = unix.IPPROTO_ICMP, 8
		if reply {
			s.Type = 0
		}
		if s.V6 {
			s.Proto, s.Type = unix.IPPROTO_ICMPV6, 128
			if reply {
				s.Type = 129
			}
		}
	}
	return s
}

// addresses returns the source and the destination of a packet.
func (s spec) addresses() (src, dst netip.Addr) {
	switch s.Path {
	case receive:
		return clientAddr(s.V6, s.Source), addr(s.V6, 1, 1)
	case forward:
		return clientAddr(s.V6, s.Source), addr(s.V6, 2, 2)
	}
	return addr(s.V6, 1, 1), clientAddr(s.V6, s.Source)
}

// build returns the IP packet with the given id.
func (s spec) build(id uint16) []byte {
	src, dst := s.addresses()
	be := binary.BigEndian
	var l4 []byte
	sum := 0
	switch s.Proto {
	case unix.IPPROTO_UDP:
		l4 = make([]byte, 8+s.Payload)
		be.PutUint16(l4, id)
		be.PutUint16(l4[2:], s.Dport)
		be.PutUint16(l4[4:], uint16(len(l4)))
		sum = 6
	case unix.IPPROTO_TCP:
		l4 = make([]byte, 20)
		be.PutUint16(l4, id)
		be.PutUint16(l4[2:], s.Dport)
		be.PutUint32(l4[4:], uint32(id)<<8)
		l4[12], l4[13] = 5<<4, s.Flags
		be.PutUint16(l4[14:], 65535)
		sum = 16
	default:
		l4 = make([]byte, 8+s.Payload)
		l4[0] = s.Type
		be.PutUint16(l4[4:], id)
		be.PutUint16(l4[6:], 1+uint16(s.Path)) // tells the router's own from its replies
		sum = 2
	}
	pseudo := append(append(src.AsSlice(), dst.AsSlice()...), 0, s.Proto, byte(len(l4)>>8), byte(len(l4)))
	if s.Proto == unix.IPPROTO_ICMP {
		pseudo = nil
	}
	be.PutUint16(l4[sum:], checksum(pseudo, l4))
	ttl := cmp.Or(s.TTL, 64)
	if s.V6 {
		h := make([]byte, 8, 48+len(l4))
		h[0], h[1] = 6<<4|s.TOS>>4, s.TOS<<4
		h[6], h[7] = s.Proto, ttl
		h = append(append(h, src.AsSlice()...), dst.AsSlice()...)
		if s.Options {
			h[6] = unix.IPPROTO_DSTOPTS
			h = append(h, s.Proto, 0, 1, 4, 0, 0, 0, 0)
		}
		be.PutUint16(h[4:], uint16(len(h)-40+len(l4)))
		return append(h, l4...)
	}
	h := make([]byte, 12, 24+len(l4))
	h[0], h[1], h[8], h[9] = 0x45, s.TOS, ttl, s.Proto
	be.PutUint16(h[4:], id)
	h = append(append(h, src.AsSlice()...), dst.AsSlice()...)
	if s.Options {
		h[0]++
		h = append(h, 1, 1, 1, 0) // fillers and the end
	}
	be.PutUint16(h[2:], uint16(len(h)+len(l4)))
	be.PutUint16(h[10:], checksum(h))
	return append(h, l4...)
}

func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for len(b) > 1 {
			sum += uint32(b[0])<<8 | uint32(b[1])
			b = b[2:]
		}
		if len(b) > 0 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
