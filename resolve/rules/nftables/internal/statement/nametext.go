package statement

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// classOfIP6 is the part of IPv6's header that holds the traffic class.
func classOfIP6() ruleset.Field {
	f, _ := ruleset.Payload(ruleset.Network, 0, 2)
	return f
}

// isClass reports whether the mask leaves the field's DSCP.
func isClass(f ruleset.Field, mask []byte) bool {
	return f == ruleset.IPDSCP && mask[0] == 0xfc || f == classOfIP6() && mask[0] == 0x0f && mask[1] == 0xc0
}

// className is nft's word for a DSCP value.
func className(n byte) string {
	drop := n >> 1 & 3
	switch {
	case n&7 == 0:
		return "cs" + strconv.Itoa(int(n>>3))
	case n == 46:
		return "ef"
	case n&1 == 0 && drop > 0 && n>>3 >= 1 && n>>3 <= 4:
		return fmt.Sprintf("af%d%d", n>>3, drop)
	}
	return fmt.Sprintf("%#02x", n)
}

// icmpName is nft's word for a type; empty where it has none.
func icmpName(protocol uint8, n uint64) string {
	switch protocol {
	case unix.IPPROTO_ICMP:
		return map[uint64]string{
			0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request",
			9: "router-advertisement", 10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem",
			13: "timestamp-request", 14: "timestamp-reply", 15: "info-request", 16: "info-reply",
			17: "address-mask-request", 18: "address-mask-reply",
		}[n]
	case unix.IPPROTO_ICMPV6:
		return map[uint64]string{
			1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem",
			128: "echo-request", 129: "echo-reply", 130: "mld-listener-query", 131: "mld-listener-report",
			132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert", 135: "nd-neighbor-solicit",
			136: "nd-neighbor-advert", 137: "nd-redirect", 138: "router-renumbering",
			141: "ind-neighbor-solicit", 142: "ind-neighbor-advert", 143: "mld2-listener-report",
		}[n]
	}
	return ""
}

// optionName is nft's word for a TCP (kind 1) or IPv4 (kind 2) option.
func optionName(kind, number uint8) string {
	name := ""
	switch kind {
	case 1:
		name = map[uint8]string{1: "nop", 2: "maxseg", 3: "window", 4: "sack-permitted", 5: "sack", 8: "timestamp", 30: "mptcp"}[number]
	case 2:
		name = map[uint8]string{7: "rr", 131: "lsrr", 137: "ssrr", 148: "ra"}[number]
	}
	if name == "" {
		return strconv.Itoa(int(number))
	}
	return name
}
