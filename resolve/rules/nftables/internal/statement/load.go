package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
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
