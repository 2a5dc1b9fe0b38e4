package xtables

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The structures of a 64-bit kernel, in its byte order, from
// include/uapi/linux: netfilter/x_tables.h, netfilter_ipv4/ip_tables.h and
// netfilter_ipv6/ip6_tables.h. They are ABI: the same in every version.
//
//	struct ipt_entry           ip  ip6t_entry
//	  what packets it is for    0    0  84 and 133 bytes, all zero: every packet
//	  u32 nfcache              84  136  unused
//	  u16 target_offset        88  140  behind the matches
//	  u16 next_offset          90  142  behind the target
//	  u32 comefrom             92  144  the kernel's own, see reach
//	  u64 packets, bytes       96  152
//	  matches, target         112  168
//
//	struct xt_entry_match, xt_entry_target
//	  u16 size                  0  head included
//	  char name[29]             2
//	  u8 revision              31
//	  data                     32
const (
	alignment = 8 // of entries, matches and targets: XT_ALIGN

	partHead = 32 // of a match or a target
	nameSize = 29 // XT_EXTENSION_MAXNAMELEN

	standardSize = 40 // struct xt_standard_target: an int behind the head
	errorSize    = 64 // struct xt_error_target: char errorname[30]
	errorName    = 30

	standardTarget = ""      // XT_STANDARD_TARGET
	errorTarget    = "ERROR" // XT_ERROR_TARGET: a user chain's head, or the end

	commentMatch = "comment" // struct xt_comment_info: char comment[256]
)

// layout tells where an entry of one family keeps what.
type layout struct {
	packets                   int // bytes that tell what packets it is for
	nfcache                   int
	targetOffset, nextOffset  int
	comefrom, counters, total int

	// flags is the offset of ip6t_ip6.flags, 0 for ip.
	flags int
}

// flagProto is IP6T_F_PROTO: ip6_packet_match looks for that protocol's header,
// and drops a packet whose extension headers cannot be followed (hotdrop).
const flagProto = 0x01

func layoutOf(family string) (layout, error) {
	switch family {
	case "ip":
		return layout{packets: 84, nfcache: 84, targetOffset: 88, nextOffset: 90,
			comefrom: 92, counters: 96, total: 112}, nil
	case "ip6":
		return layout{packets: 136, nfcache: 136, targetOffset: 140, nextOffset: 142,
			comefrom: 144, counters: 152, total: 168, flags: 131}, nil
	}
	return layout{}, fmt.Errorf("family %q has no legacy tables", family)
}

// clean zeroes what the kernel writes to in an entry's fixed part.
func (l layout) clean(head []byte) {
	clear(head[l.nfcache : l.nfcache+4])
	clear(head[l.comefrom : l.comefrom+4])
	clear(head[l.counters : l.counters+16])
}

// sameHead compares a clean head with one that is as the kernel has it.
func (l layout) sameHead(clean, kernel []byte) bool {
	return bytes.Equal(clean[:l.nfcache], kernel[:l.nfcache]) &&
		bytes.Equal(clean[l.targetOffset:l.comefrom], kernel[l.targetOffset:l.comefrom])
}

// unconditional tells entries that every packet matches, as the kernel does:
// by their bytes.
func (l layout) unconditional(entry []byte, target int) bool {
	if target != l.total {
		return false // it has matches
	}
	for _, b := range entry[:l.packets] {
		if b != 0 {
			return false
		}
	}
	return true
}

// part is a match or a target: [32]byte head and data.
type part []byte

// cutPart takes the match that raw begins with, and the rest.
func cutPart(raw []byte) (p part, rest []byte, ok bool) {
	if len(raw) < partHead {
		return nil, nil, false
	}
	size := int(binary.NativeEndian.Uint16(raw))
	if size < partHead || size%alignment != 0 || size > len(raw) {
		return nil, nil, false
	}
	return part(raw[:size]), raw[size:], true
}

func (p part) name() []byte { return cut(p[2 : 2+nameSize]) }

func (p part) data() []byte { return p[partHead:] }

// cut returns the bytes before the first NUL.
func cut(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
