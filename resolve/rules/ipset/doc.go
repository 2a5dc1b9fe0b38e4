// Package ipset reads the ipsets of a network namespace by netlink (NETLINK_NETFILTER,
// NFNL_SUBSYS_IPSET) into sets of the ruleset model.
//
// github.com/vishvananda/netlink has a reader, which leaves out the flags of
// elements (nomatch, physdev, wildcard), netmasks and the members of list:set.
package ipset
