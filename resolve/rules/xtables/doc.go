// Package xtables reads iptables-legacy and ip6tables-legacy (x_tables): the
// blob of entries as the kernel evaluates it, so that an entry's offset, which
// is all that a drop record knows, becomes chain and rule number.
//
// [Tables] tells which tables a namespace has, [Read] reads one, [Texts] asks
// iptables-legacy-save for the words of its rules. Legacy tables have no
// generation: whether a blob is still the kernel's, [Blob.SameHead] tells of one
// entry and [Unchanged] of all.
//
// Looking changes nothing. IPT_SO_GET_INFO on a table that a namespace has not
// creates it there and may load its module (xt_request_find_table_lock), and so
// does `iptables-legacy-save -t`: neither is ever asked of a table that
// /proc/net/ip_tables_names does not list at that moment.
package xtables
