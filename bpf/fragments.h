/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fragments.h - fragments of a reassembled datagram, which are freed right behind their
 * head, one call each: the same lost packet.
 */
#ifndef DROPTRACE_FRAGMENTS_H
#define DROPTRACE_FRAGMENTS_H

#include "scratch.h"

static __always_inline bool is_member(struct per_cpu_state *p, struct sk_buff *skb)
{
	u64 expected = p->member;

	p->member = 0;
	if (expected != (u64)skb)
		return false;
	p->member = (u64)READ(skb, next);
	return true;
}

static __always_inline void expect_members(struct per_cpu_state *p, struct sk_buff *skb)
{
	struct skb_shared_info *shared;

	shared = (void *)(READ(skb, head) + READ(skb, end));
	p->member = (u64)READ(shared, frag_list);
}

#endif
