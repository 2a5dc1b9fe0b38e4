package statement

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// limitText writes a limit as nft does.
func limitText(data []byte, outer *nlattr.Attrs) string {
	const (
		over  = 1 // NFT_LIMIT_F_INV
		bytes = 1 // NFT_LIMIT_PKT_BYTES
	)
	var rate, unit uint64
	var burst, typ, flags uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_LIMIT_RATE:
			rate = a.Uint64()
		case unix.NFTA_LIMIT_UNIT:
			unit = a.Uint64()
		case unix.NFTA_LIMIT_BURST:
			burst = a.Uint32()
		case unix.NFTA_LIMIT_TYPE:
			typ = a.Uint32()
		case unix.NFTA_LIMIT_FLAGS:
			flags = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	text := "limit rate "
	if flags&over != 0 {
		text += "over "
	}
	amount, what := " bytes", ""
	if typ != bytes {
		amount, what = "", " packets"
	}
	text += strconv.FormatUint(rate, 10) + amount + "/" + period(unit)
	if burst > 0 {
		text += " burst " + strconv.FormatUint(uint64(burst), 10) + amount + what
	}
	return text
}

// period names a number of seconds.
func period(seconds uint64) string {
	switch seconds {
	case 1:
		return "second"
	case 60:
		return "minute"
	case 3600:
		return "hour"
	case 86400:
		return "day"
	case 604800:
		return "week"
	}
	return strconv.FormatUint(seconds, 10) + "s"
}

// quotaText writes a quota as nft does, in bytes.
func quotaText(data []byte, outer *nlattr.Attrs) string {
	const over = 1 // NFT_QUOTA_F_INV
	var bytes uint64
	var flags uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_QUOTA_BYTES:
			bytes = a.Uint64()
		case unix.NFTA_QUOTA_FLAGS:
			flags = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	text := "quota "
	if flags&over != 0 {
		text += "over "
	}
	return text + strconv.FormatUint(bytes, 10) + " bytes"
}

// countText writes a limit of connections as nft does.
func countText(data []byte, outer *nlattr.Attrs) string {
	const over = 1 // NFT_CONNLIMIT_F_INV
	var count, flags uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case 1: // NFTA_CONNLIMIT_COUNT
			count = a.Uint32()
		case 2: // NFTA_CONNLIMIT_FLAGS
			flags = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	text := "ct count "
	if flags&over != 0 {
		text += "over "
	}
	return text + strconv.FormatUint(uint64(count), 10)
}
