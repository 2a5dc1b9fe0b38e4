/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ct_record.h - records that no kfree_skb emits: conntrack failures that lose no
 * packet, and requests that a listening socket refuses.
 */
#ifndef DROPTRACE_CT_RECORD_H
#define DROPTRACE_CT_RECORD_H

#include "ct_fail.h"
#include "filter_step.h"

/* struct nf_conn of a tuple's hash entry: which of the two it is, dir tells. */
static __always_inline struct nf_conn *hash_to_conn(u64 hash)
{
	struct nf_conntrack_tuple_hash *h = (void *)hash;
	struct ct_tuple tuple = {};
	u64 base;

	if (!bpf_core_field_exists(((struct nf_conn *)0)->tuplehash) || !bpf_core_field_exists(h->tuple))
		return NULL;
	bpf_probe_read_kernel(&tuple, sizeof(tuple), (void *)ADDRESS(h, tuple));
	base = hash - bpf_core_field_offset(struct nf_conn, tuplehash);
	if (tuple.dir & 1)
		base -= bpf_core_type_size(struct nf_conntrack_tuple_hash);
	return (void *)base;
}

/* The packet's own facts where the pointer has no type that the verifier knows. */
static __always_inline void read_skb_slow(struct event *e, u64 address)
{
	struct sk_buff *skb = (void *)address;
	unsigned char *head = READ(skb, head);
	u32 network = READ(skb, network_header);
	u32 tail = READ(skb, tail);
	u32 len = tail - network;

	e->skb = address;
	e->length = READ(skb, len);
	e->mark = READ(skb, mark);
	e->protocol = __builtin_bswap16(READ(skb, protocol));
	read_device(READ(skb, dev), &e->dev_ifindex, e->dev_name);
	if (network >= tail || network == NO_OFFSET)
		return;
	if (len > HEADER_BYTES) {
		len = HEADER_BYTES;
		e->flags |= FLAG_HEADER_CUT;
	}
	asm volatile("" : "+r"(len));
	if (len > HEADER_BYTES)
		return;
	if (!bpf_probe_read_kernel(e->header, len, head + network))
		e->header_len = len;
	fix_protocol(e);
}

/*
 * A record that no kfree_skb emits, begun on a level of scratch memory;
 * end_record gives that back. NULL where too many runs are under way.
 */
static __always_inline struct scratch *begin_record(u32 *level)
{
	u32 zero = 0;
	struct per_cpu_state *p = bpf_map_lookup_elem(&per_cpu, &zero);
	const struct config *c = get_config();
	struct scratch *s;
	struct event *e;

	if (!p || !c || !c->ready)
		return NULL;
	*level = take_level(p);
	s = get_scratch(*level);
	if (!s) {
		count(COUNT_NESTED);
		return NULL;
	}
	e = &s->event;
	clear_event(e);
	e->hook = NO_HOOK;
	e->time = bpf_ktime_get_ns();
	e->cpu = bpf_get_smp_processor_id();
	return s;
}

static __always_inline void end_record(u32 level)
{
	u32 zero = 0;
	struct per_cpu_state *p = bpf_map_lookup_elem(&per_cpu, &zero);

	if (p)
		give_level(p, level);
}

static __always_inline struct scratch *begin_failure(u32 *level, u32 saw)
{
	const struct config *c = get_config();
	struct scratch *s = begin_record(level);

	if (!s || !c)
		return NULL;
	s->event.type = EVENT_CONNTRACK;
	s->event.flags = FLAG_FAILURE;
	s->event.failure.saw = saw;
	s->event.failure.hooked = c->ct_hooked;
	count(COUNT_CT_SEEN);
	return s;
}

/* The connection that was there may be the one that somebody asked for. */
__noinline int step_filter_failure(u32 level)
{
	struct scratch *s = get_scratch(level);
	int matched;

	if (!s)
		return 0;
	if (step_filter(level))
		return 1;
	if (s->event.failure.other.present != CT_ENTRY)
		return 0;
	s->swap = s->event.ct;
	s->event.ct = s->event.failure.other;
	matched = step_filter(level);
	s->event.ct = s->swap;
	return matched;
}

static __always_inline void finish_failure(u32 level, struct scratch *s)
{
	s->event.bytes.front = EVENT_NO_STACK;
	if (!step_filter_failure(level))
		count(COUNT_CT_FILTERED);
	else if (bpf_ringbuf_output(&events, &s->event, EVENT_NO_STACK, 0))
		count(COUNT_CT_LOST);
	else
		count(COUNT_CT_DELIVERED);
	end_record(level);
}

/*
 * Without a packet at hand its headers are made up from the tuple, as far as
 * filters and people need them: addresses, protocol, ports.
 */
static __always_inline void use_tuple(struct event *e)
{
	const struct ct_tuple *t = &e->ct.original;
	u8 *h = e->header;

	e->flags |= FLAG_TUPLE_ONLY;
	if (t->l3num == NFPROTO_IPV6) {
		e->protocol = ETH_P_IPV6;
		h[0] = 0x60;
		h[6] = t->protonum;
		__builtin_memcpy(h + 8, t->src, 16);
		__builtin_memcpy(h + 24, t->dst, 16);
		h += 40;
		e->header_len = 44;
	} else {
		e->protocol = ETH_P_IP;
		h[0] = 0x45;
		h[9] = t->protonum;
		__builtin_memcpy(h + 12, t->src, 4);
		__builtin_memcpy(h + 16, t->dst, 4);
		h += 20;
		e->header_len = 24;
	}
	__builtin_memcpy(h, &t->src_port, 2);
	__builtin_memcpy(h + 2, &t->dst_port, 2);
}

#endif
