package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

// maxWidth is all registers together, in bytes.
const maxWidth = unix.NFT_REG32_COUNT * unix.NFT_REG32_SIZE

// payload loads bytes of the packet or, with a source register, writes them.
func (d *Decoder) payload(data []byte, outer *nlattr.Attrs) {
	var base, offset, length, to, from uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_PAYLOAD_DREG:
			to = a.Uint32()
		case unix.NFTA_PAYLOAD_BASE:
			base = a.Uint32()
		case unix.NFTA_PAYLOAD_OFFSET:
			offset = a.Uint32()
		case unix.NFTA_PAYLOAD_LEN:
			length = a.Uint32()
		case unix.NFTA_PAYLOAD_SREG:
			from = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	length = min(length, maxWidth)
	f, ok := ruleset.Field(0), false
	if base <= uint32(ruleset.Inner) && offset <= 0xffff {
		f, ok = ruleset.Payload(ruleset.Base(base), int(offset), int(length))
	}
	switch {
	case from != 0:
		d.write(f, ok, from)
	case !ok:
		d.load(to, value{width: int(length), unknown: "payload", text: "payload"})
	default:
		d.load(to, value{field: d.address(f), width: int(length)})
	}
}

// address is the address of which nft loads only the first bytes, where a
// prefix of whole bytes is all that it compares.
func (d *Decoder) address(f ruleset.Field) ruleset.Field {
	base, offset, length, _ := f.IsPayload()
	if base != ruleset.Network {
		return f
	}
	for _, whole := range headerFields(d.context, ruleset.Network) {
		if _, at, size, _ := whole.IsPayload(); at == offset && length < size && size >= 4 {
			return whole
		}
	}
	return f
}

// meta loads a property of the packet or, with a source register, sets one.
func (d *Decoder) meta(data []byte, outer *nlattr.Attrs) {
	var key, to, from uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_META_DREG:
			to = a.Uint32()
		case unix.NFTA_META_KEY:
			key = a.Uint32()
		case unix.NFTA_META_SREG:
			from = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	if from != 0 {
		d.setMeta(key, from)
		return
	}
	d.load(to, metaValue(key))
}

// Keys of meta that x/sys/unix lacks (enum nft_meta_keys).
const (
	metaSecpath     = 25
	metaInKind      = 26
	metaOutKind     = 27
	metaBridgePVID  = 28
	metaBridgeProto = 29
	metaTime        = 30
	metaDay         = 31
	metaHour        = 32
	metaSDIF        = 33
	metaSDIFName    = 34
)

// metaValue is the property and how the kernel keeps it (nft_meta_get_eval).
func metaValue(key uint32) value {
	host := littleEndian()
	switch key {
	case unix.NFT_META_LEN:
		return value{field: ruleset.Length, width: 4, swapped: host}
	case unix.NFT_META_PROTOCOL:
		return value{field: ruleset.EtherType, width: 2}
	case unix.NFT_META_PRIORITY:
		return value{field: ruleset.Priority, width: 4, swapped: host}
	case unix.NFT_META_MARK:
		return value{field: ruleset.Mark, width: 4, swapped: host}
	case unix.NFT_META_IIF:
		return value{field: ruleset.InIndex, width: 4, swapped: host}
	case unix.NFT_META_OIF:
		return value{field: ruleset.OutIndex, width: 4, swapped: host}
	case unix.NFT_META_IIFNAME:
		return value{field: ruleset.InName, width: 16}
	case unix.NFT_META_OIFNAME:
		return value{field: ruleset.OutName, width: 16}
	case unix.NFT_META_IIFTYPE:
		return value{field: ruleset.InType, width: 2, swapped: host}
	case unix.NFT_META_OIFTYPE:
		return value{field: ruleset.OutType, width: 2, swapped: host}
	case unix.NFT_META_SKUID:
		return value{field: ruleset.SocketUID, width: 4, swapped: host}
	case unix.NFT_META_SKGID:
		return value{field: ruleset.SocketGID, width: 4, swapped: host}
	case unix.NFT_META_RTCLASSID:
		return value{field: ruleset.RoutingClass, width: 4, swapped: host}
	case unix.NFT_META_NFPROTO:
		return value{field: ruleset.NFProto, width: 1}
	case unix.NFT_META_L4PROTO:
		return value{field: ruleset.L4Protocol, width: 1}
	case unix.NFT_META_BRI_IIFNAME:
		return value{field: ruleset.InBridge, width: 16}
	case unix.NFT_META_BRI_OIFNAME:
		return value{field: ruleset.OutBridge, width: 16}
	case unix.NFT_META_PKTTYPE:
		return value{field: ruleset.PacketType, width: 1}
	case unix.NFT_META_CPU:
		return value{field: ruleset.CPU, width: 4, swapped: host}
	case unix.NFT_META_IIFGROUP:
		return value{field: ruleset.InGroup, width: 4, swapped: host}
	case unix.NFT_META_OIFGROUP:
		return value{field: ruleset.OutGroup, width: 4, swapped: host}
	case unix.NFT_META_CGROUP:
		return value{field: ruleset.Cgroup, width: 4, swapped: host}
	}
	return unknownMeta(key)
}

// unknownMeta is a property that no model of the packet has.
func unknownMeta(key uint32) value {
	v := value{width: 4, unknown: "meta", understood: true, text: "meta"}
	switch key {
	case unix.NFT_META_PRANDOM:
		v.unknown, v.text, v.swapped = "random", "meta random", littleEndian()
	case metaTime:
		v.width, v.unknown, v.text = 8, "time", "meta time"
	case metaDay:
		v.width, v.unknown, v.text = 1, "time", "meta day"
	case metaHour:
		v.unknown, v.text = "time", "meta hour"
	case metaSecpath:
		v.width, v.unknown, v.text = 1, "ipsec", "meta ipsec"
	case metaInKind, metaOutKind, metaSDIFName:
		v.width, v.unknown, v.text = 16, "interface", "meta interface kind"
	case metaBridgePVID, metaBridgeProto:
		v.width, v.unknown, v.text = 2, "vlan", "meta vlan"
	case metaSDIF:
		v.unknown, v.text = "interface", "meta sdif"
	case unix.NFT_META_SECMARK:
		v.unknown, v.text = "secmark", "meta secmark"
	case unix.NFT_META_NFTRACE:
		v.width, v.unknown, v.text = 1, "nftrace", "meta nftrace"
	default:
		v.understood = false
	}
	return v
}

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

// unknowable loads what neither the packet nor the ruleset tells.
func (d *Decoder) unknowable(name string, data []byte, outer *nlattr.Attrs) {
	// All of them call their destination register attribute 1 but socket,
	// xfrm, rt and tunnel, who have it at 1 or 2.
	v := value{width: 4, unknown: name, understood: true, text: name}
	var to uint32
	var key uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch {
		case a.Type == unknownRegister(name):
			to = a.Uint32()
		case a.Type == unknownKey(name) && len(a.Data) == 4:
			key = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	v.name(name, key)
	d.load(to, v)
}

// unknownRegister is the attribute that holds the destination register.
func unknownRegister(name string) uint16 {
	switch name {
	case "socket", "tunnel", "hash":
		return 2 // NFTA_SOCKET_DREG, NFTA_TUNNEL_DREG, NFTA_HASH_DREG
	}
	return 1 // NFTA_RT_DREG, NFTA_OSF_DREG, NFTA_XFRM_DREG, NFTA_NG_DREG
}

// unknownKey is the attribute that says what is asked for.
func unknownKey(name string) uint16 {
	switch name {
	case "socket", "tunnel":
		return 1
	case "hash":
		return 7 // NFTA_HASH_TYPE
	case "numgen":
		return 3 // NFTA_NG_TYPE
	}
	return 2 // NFTA_RT_KEY, NFTA_XFRM_KEY
}

// name gives the value's size and names as nft has them.
func (v *value) name(expression string, key uint32) {
	switch expression {
	case "numgen":
		v.unknown, v.text, v.swapped = "random", "numgen", littleEndian()
		if key == 0 {
			v.unknown = "numgen" // in turn
		}
	case "hash":
		v.text, v.swapped = [...]string{"jhash", "symhash"}[min(key, 1)], littleEndian()
	case "socket":
		// transparent, mark, wildcard, cgroupv2
		v.width = [...]int{1, 4, 1, 8}[min(key, 3)]
	case "osf":
		v.width = 16
	case "rt":
		v.unknown = "route"
		v.width = [...]int{4, 4, 16, 2, 1}[min(key, 4)]
	case "xfrm":
		v.unknown = "ipsec"
		v.width = [...]int{4, 4, 16, 4, 16, 4, 4}[min(key, 6)]
	case "tunnel":
		v.width = [...]int{1, 4}[min(key, 1)]
	}
}
