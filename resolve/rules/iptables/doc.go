// Package iptables reads rules in iptables' own words into the ruleset model:
// what iptables-save and ip6tables-save print, of both backends, with or without
// counters. [Parse] reads a file of tables, [Apply] makes the change that an
// iptables command would make, on the model alone.
//
// A match becomes the statements that the kernel's x_tables match comes to
// (net/netfilter/xt_*.c, net/ipv4/netfilter/ipt_*.c and ip6t_*.c of Linux 5.10 to
// 6.18), also where a packet lacks what is looked at: see [ruleset.Header] and
// [ruleset.Any]. What depends on more than the ruleset and the packet (limit,
// recent, time) is a [ruleset.Opaque] that is understood; an extension or option
// that is not known is one that is not. Failures to get memory, on which some
// matches drop, are left out.
//
// All words come from whoever wrote the rules: escape them before a terminal.
package iptables
