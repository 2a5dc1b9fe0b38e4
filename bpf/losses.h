/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * losses.h - totals of the drops that found no room in the ring, by rule, location
 * and reason: the summary is whole without them being told one by one.
 *
 * The first lost record of each kind is kept with its count, so that Go resolves it
 * as any other. Drops of which the record got through pay nothing here.
 */
#ifndef DROPTRACE_LOSSES_H
#define DROPTRACE_LOSSES_H

#include "ct_entry.h"
#include "packet.h"
#include "scratch.h"

#define MAX_LOSSES 2048 /* kinds; Go counts what is beyond as one */
#define LOSS_BYTES (sizeof(u64) + EVENT_NO_STACK)

#define IPPROTO_ICMP 1
#define IPPROTO_ICMPV6 58

_Static_assert(__builtin_offsetof(struct scratch, event) ==
		       __builtin_offsetof(struct scratch, one) + sizeof(u64),
	       "a loss is a count and a record");

/* Not an LRU map: evicted counts would be wrong ones. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOSSES);
	__type(key, struct loss_key);
	__uint(value_size, LOSS_BYTES);
} losses SEC(".maps");

/* What symbol.Free of Go looks at. IPv6 extensions stay unread: they are rare here. */
static __always_inline void loss_detail(struct loss_key *k, const struct event *e)
{
	const u8 *h = e->header;
	u32 transport, length;

	if (e->protocol == ETH_P_IP) {
		k->protocol = h[9];
		transport = (h[0] & 0xf) * 4;
		length = h[2] << 8 | h[3];
	} else if (e->protocol == ETH_P_IPV6) {
		k->protocol = h[6];
		transport = 40;
		length = transport + (h[4] << 8 | h[5]);
	} else {
		k->empty = !e->protocol && !e->length && !e->header_len;
		return;
	}
	if (k->protocol == IPPROTO_TCP) {
		k->detail = h[transport + 13];
		k->empty = length == transport + (h[transport + 12] >> 4) * 4;
	} else if (k->protocol == IPPROTO_ICMP || k->protocol == IPPROTO_ICMPV6) {
		k->detail = h[transport];
	}
}

static __always_inline void set_loss_key(struct loss_key *k, const struct event *e)
{
	const struct rule_info *r = &e->rule;

	__builtin_memset(k, 0, sizeof(*k));
	k->location = e->location;
	k->caller = e->caller;
	k->netns_cookie = e->netns_cookie;
	k->rule = r->kind == RULE_XT ? r->address : r->rule_handle;
	k->chain = r->chain_handle;
	k->table = r->table_handle;
	k->hook_fn = e->hook_fn;
	k->netns = e->netns;
	k->reason = e->reason;
	k->flags = e->flags & LOSS_FLAGS;
	k->offset = r->offset;
	k->type = e->type;
	k->hook = e->hook;
	k->pf = e->pf;
	k->kind = r->kind;
	k->method = r->method;
	k->candidates = r->candidates;
	k->verdict = r->verdict;
	k->ct_present = e->ct.present;
	k->ctinfo = e->ct.ctinfo;
	if (e->type == EVENT_LISTEN)
		k->detail = e->listen.kind;
	else if (e->hook == NO_HOOK)
		loss_detail(k, e);
}

__noinline int step_count_loss(u32 level)
{
	struct scratch *s = get_scratch(level);
	u64 *counted;

	if (!s)
		return 0;
	set_loss_key(&s->loss_key, &s->event);
	counted = bpf_map_lookup_elem(&losses, &s->loss_key);
	if (!counted) {
		s->one = 1;
		s->event.flags &= ~FLAG_STACK;
		s->event.bytes.captured = 0;
		s->event.bytes.front = EVENT_NO_STACK;
		if (!bpf_map_update_elem(&losses, &s->loss_key, &s->one, BPF_NOEXIST))
			return 0;
		/* Another CPU was first, or the map is full. */
		counted = bpf_map_lookup_elem(&losses, &s->loss_key);
	}
	if (counted)
		__sync_fetch_and_add(counted, 1);
	return 0;
}

#endif
