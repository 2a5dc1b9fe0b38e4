/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ct_entry.h - the conntrack entry that an skb carries.
 */
#ifndef DROPTRACE_CT_ENTRY_H
#define DROPTRACE_CT_ENTRY_H

#include "config.h"

#define NFCT_INFOMASK 7UL /* low bits of _nfct: enum ip_conntrack_info */
#define IP_CT_UNTRACKED 7
#define IPPROTO_TCP 6

enum ct_presence { CT_ABSENT, CT_ENTRY, CT_UNTRACKED };

static __always_inline void read_ct_entry(struct ct_info *out, struct nf_conn *ct)
{
	/* All that an entry is known by: without it there is none to be told of. */
	if (!bpf_core_field_exists(ct->status) || !bpf_core_field_exists(ct->tuplehash[1].tuple))
		return;
	out->present = CT_ENTRY;
	out->status = READ(ct, status);
	out->timeout = READ(ct, timeout);
	out->jiffies = bpf_jiffies64();
	if (bpf_core_field_exists(ct->mark))
		out->mark = READ(ct, mark);
	if (bpf_core_field_exists(ct->zone))
		out->zone = READ(ct, zone.id);
	bpf_probe_read_kernel(&out->original, sizeof(out->original), (void *)ADDRESS(ct, tuplehash[0].tuple));
	bpf_probe_read_kernel(&out->reply, sizeof(out->reply), (void *)ADDRESS(ct, tuplehash[1].tuple));
	if (out->original.protonum == IPPROTO_TCP)
		out->tcp_state = READ(ct, proto.tcp.state);
}

static __always_inline void read_nfct(struct ct_info *out, u64 nfct)
{
	struct nf_conn *ct;

	if (!nfct)
		return;
	out->ctinfo = nfct & NFCT_INFOMASK;
	if (out->ctinfo == IP_CT_UNTRACKED) {
		out->present = CT_UNTRACKED;
		return;
	}
	ct = (void *)(nfct & ~NFCT_INFOMASK);
	if (ct)
		read_ct_entry(out, ct);
}

static __always_inline void read_conntrack(struct event *e, struct sk_buff *skb)
{
	if (bpf_core_field_exists(skb->_nfct))
		read_nfct(&e->ct, skb->_nfct);
}

#endif
