package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// headerFields are the fields that lie in the header, as far as it is known
// which header it is.
func headerFields(c context, base ruleset.Base) []ruleset.Field {
	switch base {
	case ruleset.Link:
		return []ruleset.Field{ruleset.DestinationMAC, ruleset.SourceMAC, ruleset.LinkType}
	case ruleset.Network:
		switch c.network {
		case unix.NFPROTO_IPV4:
			return []ruleset.Field{
				ruleset.IPDSCP, ruleset.IPLength, ruleset.IPID, ruleset.IPFragment, ruleset.IPTTL,
				ruleset.IPProtocol, ruleset.IPSource, ruleset.IPDestination,
			}
		case unix.NFPROTO_IPV6:
			return []ruleset.Field{ruleset.IP6NextHeader, ruleset.IP6HopLimit, ruleset.IP6Source, ruleset.IP6Destination}
		}
	case ruleset.Transport:
		switch c.transport {
		case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
			return []ruleset.Field{ruleset.ICMPType, ruleset.ICMPCode}
		case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
			return []ruleset.Field{ruleset.SourcePort, ruleset.DestinationPort}
		}
	}
	return nil
}

// apart makes of a comparison of several fields at once, which nft makes of
// fields that lie side by side, one match for each. It reports whether it did.
func (d *Decoder) apart(v *value, low, high []byte, negate bool) bool {
	base, offset, length, ok := v.field.IsPayload()
	if !ok || v.swapped || v.shift != 0 {
		return false
	}
	var fields []ruleset.Field
	at := offset
	for _, f := range headerFields(d.context, base) {
		if _, start, size, _ := f.IsPayload(); start == at && at+size <= offset+length {
			fields = append(fields, f)
			at += size
		}
	}
	if len(fields) < 2 || at != offset+length {
		return false
	}
	v.used = true
	if negate {
		// Not both of them: one match of the two together.
		m := &ruleset.Match{Fields: fields, Mask: plainMask(v.mask), Ranges: []ruleset.Range{{From: low, To: high}}, Negate: true}
		m.Text = d.matchText(m, "")
		d.add(m)
		return true
	}
	for _, f := range fields {
		n := f.Size()
		part := value{field: f}
		if v.mask != nil {
			part.mask, v.mask = v.mask[:n], v.mask[n:]
		}
		if part.mask == nil || !isZero(part.mask) {
			d.match(&part, []ruleset.Range{{From: low[:n], To: high[:n]}}, false, "")
		}
		low, high = low[n:], high[n:]
	}
	return true
}
