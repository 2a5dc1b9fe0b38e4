package nftables

import "github.com/droptrace/droptrace/resolve/netfilter"

// HookAt is the hook by the numbers of a struct nf_hook_state: pf and hook in
// host byte order. The device is the one of an ingress or egress hook, empty
// where it is not known.
func HookAt(pf uint8, hook uint32, device string) Hook {
	return Hook{Family: netfilter.FamilyName(pf), Name: netfilter.HookName(pf, hook), Device: device}
}
