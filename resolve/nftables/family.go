package nftables

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// familyName spells a table's family as nft does.
func familyName(family uint8) string {
	switch family {
	case unix.NFPROTO_INET:
		return "inet"
	case unix.NFPROTO_IPV4:
		return "ip"
	case unix.NFPROTO_ARP:
		return "arp"
	case unix.NFPROTO_NETDEV:
		return "netdev"
	case unix.NFPROTO_BRIDGE:
		return "bridge"
	case unix.NFPROTO_IPV6:
		return "ip6"
	}
	return "family" + strconv.Itoa(int(family))
}

// hookName spells a hook number as nft does: the same number is another hook in
// another family (enums nf_inet_hooks, nf_dev_hooks, NF_ARP_*, NF_BR_*).
func hookName(family uint8, hook uint32) string {
	var names []string
	switch family {
	case unix.NFPROTO_ARP:
		names = []string{"input", "output", "forward"}
	case unix.NFPROTO_NETDEV:
		names = []string{"ingress", "egress"}
	default:
		// Number 5 is inet's ingress, from 5.10.
		names = []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	}
	if hook < uint32(len(names)) {
		return names[hook]
	}
	return "hook" + strconv.Itoa(int(hook))
}

// HookAt is the hook by the numbers of a struct nf_hook_state: pf and hook in
// host byte order. The device is the one of an ingress or egress hook, empty
// where it is not known.
func HookAt(pf uint8, hook uint32, device string) Hook {
	return Hook{Family: familyName(pf), Name: hookName(pf, hook), Device: device}
}
