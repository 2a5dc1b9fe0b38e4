package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// fib looks the routing table up.
func (d *Decoder) fib(data []byte, outer *nlattr.Attrs) {
	var to, result, flags uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_FIB_DREG:
			to = a.Uint32()
		case unix.NFTA_FIB_RESULT:
			result = a.Uint32()
		case unix.NFTA_FIB_FLAGS:
			flags = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	key := uint8(flags & 0x1f)
	if flags > 0x3f || result < 1 || result > uint32(ruleset.FIBType) {
		d.load(to, value{width: 4, unknown: "fib", text: "fib"})
		return
	}
	v := value{field: ruleset.FIB(key, ruleset.FIBResult(result)), width: 4, swapped: littleEndian()}
	switch {
	case flags&unix.NFTA_FIB_F_PRESENT != 0:
		// One byte, 0 or 1 (nft_fib_store_result).
		v = value{field: ruleset.FIB(key, ruleset.FIBPresent), width: 1, front: true}
	case result == uint32(ruleset.FIBOutName):
		v = value{field: v.field, width: 16}
	}
	d.load(to, v)
}

// exthdr loads a part of an IPv6 extension header or of an option, or changes
// one.
func (d *Decoder) exthdr(data []byte, outer *nlattr.Attrs) {
	var to, from, offset, length, flags, op uint32
	var number uint8
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_EXTHDR_DREG:
			to = a.Uint32()
		case unix.NFTA_EXTHDR_TYPE:
			if len(a.Data) == 1 {
				number = a.Data[0]
			}
		case unix.NFTA_EXTHDR_OFFSET:
			offset = a.Uint32()
		case unix.NFTA_EXTHDR_LEN:
			length = a.Uint32()
		case unix.NFTA_EXTHDR_FLAGS:
			flags = a.Uint32()
		case unix.NFTA_EXTHDR_OP:
			op = a.Uint32()
		case unix.NFTA_EXTHDR_SREG:
			from = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	const present = 1 // NFT_EXTHDR_F_PRESENT
	size := length
	if flags&present != 0 {
		length, size, offset = 0, 1, 0
	}
	f, ok := ruleset.Field(0), false
	if op <= 3 && offset <= 0xff && length <= 0x3f && (length > 0 || flags&present != 0) {
		f, ok = ruleset.Extension(uint8(op), number, int(offset), int(length))
	}
	switch {
	case to == 0 && from == 0:
		// The option is taken out; a packet that cannot be written is dropped.
		d.settle()
		d.add(&ruleset.Opaque{Kind: "exthdr", Understood: true, MayFail: true, MayDrop: true, Text: "reset tcp option"})
	case from != 0:
		d.settle()
		// nft_exthdr_tcp_set_eval ends the rule for packets it cannot read.
		d.add(&ruleset.Opaque{Kind: "exthdr", Understood: true, MayFail: true, Text: "tcp option set"})
	case !ok:
		d.load(to, value{width: int(min(max(size, 1), maxWidth)), unknown: "exthdr", text: "exthdr"})
	default:
		d.load(to, value{field: f, width: int(size)})
	}
}
