// Package netfilter holds the numbers of the kernel's packet filter and how nft
// and conntrack spell them: families, hooks, and the status of a connection.
//
// Numbers are those of the kernel's uapi headers linux/netfilter.h and
// linux/netfilter/nf_conntrack_common.h, the same from 5.10 to 7.2.
package netfilter

import "fmt"

// NFPROTO_*: families of tables, hooks and packets.
const (
	Inet   = 1
	IPv4   = 2
	ARP    = 3
	Netdev = 5
	Bridge = 7
	IPv6   = 10
)

// FamilyName spells an NFPROTO_ number as nft does; one that is not known is
// "family 12".
func FamilyName(family uint8) string {
	switch family {
	case Inet:
		return "inet"
	case IPv4:
		return "ip"
	case ARP:
		return "arp"
	case Netdev:
		return "netdev"
	case Bridge:
		return "bridge"
	case IPv6:
		return "ip6"
	}
	return fmt.Sprintf("family %d", family)
}

// HookName spells a hook as nft does. The same number is another hook in another
// family (enums nf_inet_hooks, nf_dev_hooks, NF_ARP_*, NF_BR_*); one that is not
// known is "hook 9".
func HookName(family uint8, hook uint32) string {
	var names []string
	switch family {
	case ARP:
		names = []string{"input", "output", "forward"}
	case Netdev:
		names = []string{"ingress", "egress"}
	default:
		// Number 5 is inet's ingress, from 5.10.
		names = []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	}
	if hook < uint32(len(names)) {
		return names[hook]
	}
	return fmt.Sprintf("hook %d", hook)
}
