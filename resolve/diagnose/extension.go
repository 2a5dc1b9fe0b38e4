package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// extensionHeader tells rules that look for the transport protocol in IPv6's own
// header (nft's `ip6 nexthdr`), where an extension header comes first.
func (d *diagnosis) extensionHeader() []drop.Why {
	const nextHeader = 6 // offset in the IPv6 header
	b := d.c.Packet.Bytes
	if !d.byDefault() || !d.f.ip() || d.f.Destination.Is4() || len(b) <= nextHeader || b[nextHeader] == byte(d.f.Protocol) {
		return nil
	}
	for _, m := range d.misses() {
		list, mask, ok := spans(m.match)
		if !ok || mask != nil || m.match.Negate || !slices.Equal(m.match.Fields, []ruleset.Field{ruleset.IP6NextHeader}) ||
			!slices.ContainsFunc(list, func(r ruleset.Range) bool { return between(r, []byte{byte(d.f.Protocol)}) }) {
			continue
		}
		w := drop.Why{Code: drop.WhyExtensionHeader, Message: fmt.Sprintf(
			"%s would accept it, but matches ip6 nexthdr %s, and the next header of this packet is %s: meta l4proto %[2]s looks behind it",
			d.ruleName(m.accept), d.f.Protocol, extensionName(b[nextHeader]))}
		if d.accepts(d.relaxed(m.rule, m.step).rulesets, &d.c.Packet) && ownerOf(m.rule.Chain, m.rule) == "" {
			w.Fix = d.c.Namespace.in(d.lookBehind(m.rule))
		}
		return []drop.Why{w}
	}
	return nil
}

// lookBehind replaces a rule by one that finds the protocol behind extension headers.
func (d *diagnosis) lookBehind(r *ruleset.Rule) string {
	return d.again(r, func([]string) string { return "" }, func(statement string) string {
		replaced := strings.Replace(statement, "ip6 nexthdr ", "meta l4proto ", 1)
		if replaced == statement { // nft hides what a later match implies
			replaced = fmt.Sprintf("meta l4proto %s %s", d.f.Protocol, statement)
		}
		return d.nftCommand("replace", r.Chain, fmt.Sprintf("handle %d", r.Handle), replaced)
	})
}

// extensionName is what RFC 8200 calls a header.
func extensionName(next byte) string {
	switch next {
	case 0:
		return "a hop-by-hop options header (0)"
	case 43:
		return "a routing header (43)"
	case 44:
		return "a fragment header (44)"
	case 51:
		return "an authentication header (51)"
	case 60:
		return "a destination options header (60)"
	}
	return fmt.Sprint(next)
}
