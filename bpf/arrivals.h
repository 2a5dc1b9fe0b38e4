/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * arrivals.h - counts the packets that came and went, by interface: nothing dropped
 * is then told apart from nothing there. Attached only where asked for.
 *
 * Both tracepoints are passed with softirqs off (__netif_receive_skb_core,
 * __dev_queue_xmit), so that no two runs on a CPU are ever under way at once.
 */
#ifndef DROPTRACE_ARRIVALS_H
#define DROPTRACE_ARRIVALS_H

#include "ct_entry.h"
#include "ct_record.h"
#include "filter_expression_packet.h"

#define MAX_ARRIVALS 1024 /* interfaces, and twice: arrived and sent */

/* What hangs on hook, rule or reason is left out: these packets have none. */
#define ARRIVAL_CONDITIONS (FILTER_FLOW | FILTER_ANY_IFACE | FILTER_IN_NETNS | FILTER_MARK)

/* All zero but for sent: interfaces that found no room. */
struct arrival_key {
	u64 netns_cookie;
	u32 netns;
	u32 ifindex;
	u32 sent;
	u32 pad;
};

struct arrival {
	u64 packets;
	u64 undecided; /* the expression looks at bytes that cannot be read */
	char name[IFNAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_ARRIVALS);
	__type(key, struct arrival_key);
	__type(value, struct arrival);
} arrivals SEC(".maps");

/* What arrives has its network header where data is, whatever the offset still says. */
static __always_inline void read_arrived_header(struct event *e, struct sk_buff *skb)
{
	u32 data = (u32)(skb->data - skb->head);
	u32 len = skb->tail - data;

	if (data >= skb->tail)
		return;
	if (len > HEADER_BYTES)
		len = HEADER_BYTES;
	asm volatile("" : "+r"(len));
	if (len > HEADER_BYTES)
		return;
	if (!bpf_probe_read_kernel(e->header, len, skb->data))
		e->header_len = len;
}

static __always_inline void read_arrival(struct scratch *s, struct sk_buff *skb, bool sent)
{
	struct event *e = &s->event;
	struct net_device *dev = skb->dev;

	s->skb = (u64)skb;
	e->length = skb->len;
	e->mark = skb->mark;
	e->protocol = __builtin_bswap16(skb->protocol);
	read_place(e, skb, dev, NULL);
	if (sent)
		read_header(e, skb);
	else
		read_arrived_header(e, skb);
	fix_protocol(e);
	read_vlan(e, skb);
	measure_bytes(s, skb);
	read_conntrack(e, skb);
}

/* --out says nothing of what arrives, --in nothing of what is sent. */
__noinline int step_arrival_matches(u32 level, u32 sent)
{
	struct scratch *s = get_scratch(level);
	u32 want = filter.want & ARRIVAL_CONDITIONS & ~(sent ? FILTER_IN : FILTER_OUT);
	u32 iface = want & FILTER_ANY_IFACE, flow = want & FILTER_FLOW;

	if (!s)
		return 0;
	if (want & FILTER_IN_NETNS && !filter_netns(&s->event, &filter))
		return 0;
	if (want & FILTER_MARK && !filter_marks(&s->event, &filter))
		return 0;
	if (iface && iface & ~filter_ifaces(&s->event, &filter))
		return 0;
	return !flow || !(flow & ~filter_flow(&s->event, &s->filter_work, &filter));
}

static __always_inline struct arrival *get_arrival(const struct event *e, bool sent)
{
	struct arrival_key key = {
		.netns_cookie = e->netns_cookie, .netns = e->netns, .ifindex = e->dev_ifindex, .sent = sent,
	};
	struct arrival_key rest = { .sent = sent };
	struct arrival *a = bpf_map_lookup_elem(&arrivals, &key);
	struct arrival new = {};

	if (a)
		return a;
	__builtin_memcpy(new.name, e->dev_name, sizeof(new.name));
	bpf_map_update_elem(&arrivals, &key, &new, BPF_NOEXIST);
	a = bpf_map_lookup_elem(&arrivals, &key);
	return a ? a : bpf_map_lookup_elem(&arrivals, &rest);
}

__noinline int step_count_arrival(u32 level, u32 sent)
{
	struct scratch *s = get_scratch(level);
	struct arrival *a;
	int value;

	if (!s || !step_arrival_matches(level, sent))
		return 0;
	value = step_expression(level);
	if (!value)
		return 0;
	a = get_arrival(&s->event, sent);
	if (!a)
		return 0;
	if (value == EXPRESSION_OUTSIDE)
		a->undecided++;
	else
		a->packets++;
	return 0;
}

static __always_inline int arrival(u64 *ctx, bool sent)
{
	struct scratch *s;
	u32 level = 0;

	s = begin_record(&level);
	if (!s)
		return 0;
	read_arrival(s, (void *)ctx[0], sent);
	step_count_arrival(level, sent);
	end_record(level);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int packet_arrived(u64 *ctx)
{
	return arrival(ctx, false);
}

SEC("tp_btf/net_dev_queue")
int packet_sent(u64 *ctx)
{
	return arrival(ctx, true);
}

#endif
