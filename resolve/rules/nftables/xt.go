package nftables

import "github.com/droptrace/droptrace/resolve/rules/iptables"

// iptables-nft runs what nf_tables has no expression for through nft_compat,
// which turns a match's hotdrop and a target's NF_DROP into a drop.

// xtMatchPasses reports whether a match only ever matches or does not.
func xtMatchPasses(name []byte) bool {
	switch string(name) {
	case "802_3", "among", "arp", "ip", "ip6", "mark_m", "stp", "vlan":
		// ebtables' own: only ebtables.c itself knows of hotdrop.
		return true
	}
	return iptables.MatchPasses(string(name))
}

// xtTargetPasses reports whether a target always lets the packet go on.
func xtTargetPasses(name []byte) bool {
	switch string(name) {
	case "log", "nflog":
		// ebtables' watchers. Its mark is not here: it carries a verdict.
		return true
	}
	return iptables.TargetPasses(string(name))
}
