// Package conntrack turns the raw conntrack facts of a dropped packet into the
// words that people know from conntrack, iptables and nft: its state, the entry's
// status, both tuples and the NAT between them.
//
// All of it is what the record carries: no table is read and nothing is asked of
// the kernel here; package table does. Numbers are those of the kernel's
// uapi headers linux/netfilter/nf_conntrack_common.h and nf_conntrack_tcp.h, the
// same from 5.10 to 7.2.
package conntrack
