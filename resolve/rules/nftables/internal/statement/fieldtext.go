package statement

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// fieldText names a field as nft does, by what is known of the packet's
// protocols. What makes it known is a match that nft does not show.
func (d *Decoder) fieldText(f ruleset.Field) string {
	base, offset, length, payload := f.IsPayload()
	if payload && base == ruleset.Transport {
		if name := d.transportText(f); name != "" {
			return name
		}
		return fmt.Sprintf("@th,%d,%d", offset*8, length*8)
	}
	if payload && base == ruleset.Link {
		implied(d.context.linkBy)
	}
	if payload && base == ruleset.Network {
		if name := d.networkText(f); name != "" {
			return name
		}
		return fmt.Sprintf("@nh,%d,%d", offset*8, length*8)
	}
	if key, result, ok := f.IsFIB(); ok {
		return fibText(key, result)
	}
	if kind, number, offset, length, ok := f.IsExtension(); ok {
		if kind == 0 || kind == 2 {
			implied(d.context.networkBy)
		}
		return extensionText(kind, number, offset, length)
	}
	if name := d.context.addressText(f); name != "" {
		return name
	}
	if name := moreNames(f); name != "" {
		return name
	}
	return f.String()
}

func (d *Decoder) networkText(f ruleset.Field) string {
	for _, known := range headerFields(d.context, ruleset.Network) {
		if known == f {
			implied(d.context.networkBy)
			return f.String()
		}
	}
	if f == classOfIP6() && d.context.network == unix.NFPROTO_IPV6 {
		implied(d.context.networkBy)
		return "ip6 dscp"
	}
	return ""
}

func implied(m *ruleset.Match) {
	if m != nil {
		m.Implied = true
	}
}

func (d *Decoder) transportText(f ruleset.Field) string {
	name := protocolName(uint64(d.context.transport))
	part := ""
	switch d.context.transport {
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		if d.context.transport == unix.IPPROTO_ICMPV6 {
			name = "icmpv6"
		}
		implied(d.context.networkBy)
		switch f {
		case ruleset.ICMPType:
			part = "type"
		case ruleset.ICMPCode:
			part = "code"
		}
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		switch f {
		case ruleset.SourcePort:
			part = "sport"
		case ruleset.DestinationPort:
			part = "dport"
		case ruleset.TCPFlags:
			if d.context.transport == unix.IPPROTO_TCP {
				part = "flags"
			}
		}
	case 0:
		switch f {
		case ruleset.SourcePort:
			return "th sport"
		case ruleset.DestinationPort:
			return "th dport"
		}
	}
	if part == "" {
		return ""
	}
	implied(d.context.transportBy)
	return name + " " + part
}

// moreNames are those that the field itself does not know.
func moreNames(f ruleset.Field) string {
	switch f {
	case ruleset.InBridge:
		return "meta ibrname"
	case ruleset.OutBridge:
		return "meta obrname"
	case ruleset.InType:
		return "iiftype"
	case ruleset.OutType:
		return "oiftype"
	case ruleset.InGroup:
		return "iifgroup"
	case ruleset.OutGroup:
		return "oifgroup"
	case ruleset.Priority:
		return "meta priority"
	case ruleset.Cgroup:
		return "meta cgroup"
	case ruleset.CPU:
		return "meta cpu"
	case ruleset.RoutingClass:
		return "meta rtclassid"
	case ruleset.CTExpiration:
		return "ct expiration"
	case ruleset.CTL3Protocol:
		return "ct l3proto"
	case ruleset.CTProtocol:
		return "ct protocol"
	case ruleset.CTOrigSrcPort:
		return "ct original proto-src"
	case ruleset.CTOrigDestPort:
		return "ct original proto-dst"
	case ruleset.CTReplySrcPort:
		return "ct reply proto-src"
	case ruleset.CTReplyDestPort:
		return "ct reply proto-dst"
	case ruleset.CTLabel:
		return "ct label"
	case ruleset.CTBytes:
		return "ct bytes"
	case ruleset.CTPackets:
		return "ct packets"
	}
	return ""
}

// addressText names an address that conntrack keeps; empty for other fields.
func (c context) addressText(f ruleset.Field) string {
	family := map[uint8]string{unix.NFPROTO_IPV4: "ip ", unix.NFPROTO_IPV6: "ip6 "}[c.connection]
	switch f {
	case ruleset.CTOrigSource:
		return "ct original " + family + "saddr"
	case ruleset.CTOrigDest:
		return "ct original " + family + "daddr"
	case ruleset.CTReplySource:
		return "ct reply " + family + "saddr"
	case ruleset.CTReplyDest:
		return "ct reply " + family + "daddr"
	}
	return ""
}

func fibText(key uint8, result ruleset.FIBResult) string {
	var parts []string
	for i, name := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if key&(1<<i) != 0 {
			parts = append(parts, name)
		}
	}
	asked := map[ruleset.FIBResult]string{
		ruleset.FIBOutIndex: "oif", ruleset.FIBOutName: "oifname", ruleset.FIBType: "type", ruleset.FIBPresent: "oif",
	}[result]
	return "fib " + strings.Join(parts, " . ") + " " + asked
}

func extensionText(kind, number uint8, offset, length int) string {
	what := ""
	switch kind {
	case 0:
		what = "exthdr " + map[uint8]string{
			unix.IPPROTO_HOPOPTS: "hbh", unix.IPPROTO_ROUTING: "rt", unix.IPPROTO_FRAGMENT: "frag",
			unix.IPPROTO_DSTOPTS: "dst", unix.IPPROTO_AH: "ah", 135: "mh",
		}[number]
		if what == "exthdr " {
			what += strconv.Itoa(int(number))
		}
	case 1:
		what = "tcp option " + optionName(kind, number)
		if number == unix.TCPOPT_MAXSEG && offset == 2 && length == 2 {
			return what + " size"
		}
	case 2:
		what = "ip option " + optionName(kind, number)
	default:
		what = "sctp chunk " + strconv.Itoa(int(number))
	}
	if length == 0 {
		return what
	}
	return fmt.Sprintf("%s @%d,%d", what, offset*8, length*8)
}
