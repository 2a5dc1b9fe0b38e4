package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ct loads what conntrack knows or, with a source register, sets it.
func (d *Decoder) ct(data []byte, outer *nlattr.Attrs) {
	var key, to, from uint32
	direction := -1
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_CT_DREG:
			to = a.Uint32()
		case unix.NFTA_CT_KEY:
			key = a.Uint32()
		case unix.NFTA_CT_DIRECTION:
			if len(a.Data) == 1 {
				direction = int(a.Data[0])
			}
		case unix.NFTA_CT_SREG:
			from = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	if from != 0 {
		d.setConntrack(key, from, direction)
		return
	}
	v := conntrackValue(key, direction)
	switch key {
	case unix.NFT_CT_SRC, unix.NFT_CT_DST:
		// As long as the connection's addresses (nft_ct_get_init); a table of
		// both families has room for either.
		if d.family == unix.NFPROTO_IPV4 {
			v.width = 4
		}
	case unix.NFT_CT_SRC_IP, unix.NFT_CT_DST_IP:
		d.connectionOf(unix.NFPROTO_IPV4)
	case unix.NFT_CT_SRC_IP6, unix.NFT_CT_DST_IP6:
		d.connectionOf(unix.NFPROTO_IPV6)
	}
	d.load(to, v)
}

// connectionOf: loading an address of one family fails for connections of the
// other.
func (d *Decoder) connectionOf(family byte) {
	if d.context.connection == family {
		return
	}
	d.context.connection = family
	d.add(&ruleset.Match{
		Fields:  []ruleset.Field{ruleset.CTL3Protocol},
		Ranges:  []ruleset.Range{{From: []byte{family}, To: []byte{family}}},
		Implied: true,
		Text:    "ct l3proto " + familyText(family),
	})
}

// conntrackValue is the property and how the kernel keeps it (nft_ct_get_eval).
// The direction is -1 where none is asked for.
func conntrackValue(key uint32, direction int) value {
	host := littleEndian()
	if direction < 0 {
		switch key {
		case unix.NFT_CT_STATE:
			return value{field: ruleset.CTState, width: 4, swapped: host}
		case unix.NFT_CT_DIRECTION:
			return value{field: ruleset.CTDirection, width: 1}
		case unix.NFT_CT_STATUS:
			return value{field: ruleset.CTStatus, width: 4, swapped: host}
		case unix.NFT_CT_MARK:
			return value{field: ruleset.CTMark, width: 4, swapped: host}
		case unix.NFT_CT_ZONE:
			return value{field: ruleset.CTZone, width: 2, swapped: host}
		case unix.NFT_CT_EXPIRATION:
			return value{field: ruleset.CTExpiration, width: 4, swapped: host}
		case unix.NFT_CT_HELPER:
			return value{field: ruleset.CTHelper, width: 16}
		case unix.NFT_CT_LABELS:
			return value{field: ruleset.CTLabel, width: 16, swapped: host}
		case unix.NFT_CT_BYTES:
			return value{field: ruleset.CTBytes, width: 8, swapped: host}
		case unix.NFT_CT_PKTS:
			return value{field: ruleset.CTPackets, width: 8, swapped: host}
		}
	}
	switch key {
	case unix.NFT_CT_L3PROTOCOL:
		return value{field: ruleset.CTL3Protocol, width: 1}
	case unix.NFT_CT_PROTOCOL:
		return value{field: ruleset.CTProtocol, width: 1}
	}
	if v, ok := tupleValue(key, direction); ok {
		return v
	}
	v := value{width: 4, unknown: "conntrack", understood: true, text: "ct"}
	switch key {
	case unix.NFT_CT_BYTES, unix.NFT_CT_PKTS, unix.NFT_CT_AVGPKT:
		v.width, v.text = 8, "ct traffic"
	case unix.NFT_CT_ZONE:
		v.width, v.text = 2, "ct zone"
	case unix.NFT_CT_SECMARK, unix.NFT_CT_ID, unix.NFT_CT_EVENTMASK:
	default:
		v.understood = false
	}
	return v
}

// tupleValue is an address or port of one direction.
func tupleValue(key uint32, direction int) (value, bool) {
	if direction != 0 && direction != 1 {
		return value{}, false
	}
	pick := func(original, reply ruleset.Field) ruleset.Field {
		if direction == 1 {
			return reply
		}
		return original
	}
	switch key {
	case unix.NFT_CT_SRC, unix.NFT_CT_SRC_IP6:
		return value{field: pick(ruleset.CTOrigSource, ruleset.CTReplySource), width: 16}, true
	case unix.NFT_CT_DST, unix.NFT_CT_DST_IP6:
		return value{field: pick(ruleset.CTOrigDest, ruleset.CTReplyDest), width: 16}, true
	case unix.NFT_CT_SRC_IP:
		return value{field: pick(ruleset.CTOrigSource, ruleset.CTReplySource), width: 4}, true
	case unix.NFT_CT_DST_IP:
		return value{field: pick(ruleset.CTOrigDest, ruleset.CTReplyDest), width: 4}, true
	case unix.NFT_CT_PROTO_SRC:
		return value{field: pick(ruleset.CTOrigSrcPort, ruleset.CTReplySrcPort), width: 2}, true
	case unix.NFT_CT_PROTO_DST:
		return value{field: pick(ruleset.CTOrigDestPort, ruleset.CTReplyDestPort), width: 2}, true
	}
	return value{}, false
}
