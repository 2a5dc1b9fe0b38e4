/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_handshake.h - packets that a listening socket leaves after it answered their SYN.
 *
 * With TCP_DEFER_ACCEPT the bare ACK of a handshake is thrown away on purpose: the
 * socket remembers it and takes the connection when data come (tcp_check_req). An
 * ACK that finds the accept queue full is freed at the same place, for no reason
 * either. This CPU's counters tell them apart: the kernel counts, then frees, with
 * nothing between. From 6.11 on the tracepoint names the socket, whose queue can be
 * looked at.
 */
#ifndef DROPTRACE_TCP_HANDSHAKE_H
#define DROPTRACE_TCP_HANDSHAKE_H

#include "tcp_mib.h"

#define MAX_MIB_BASELINES 4096
#define TCP_LISTEN 10

struct mib_key {
	u64 netns; /* cookie; inode before 5.14 */
	u64 cpu;
};

/* The counters when they were last looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_MIB_BASELINES);
	__type(key, struct mib_key);
	__type(value, struct mib_counters);
} mib_baselines SEC(".maps");

static __always_inline struct mib_key mib_key_of(struct net *net)
{
	struct mib_key key = {};

	if (bpf_core_field_exists(net->net_cookie))
		key.netns = READ(net, net_cookie);
	if (!key.netns)
		key.netns = READ(net, ns.inum);
	key.cpu = bpf_get_smp_processor_id();
	return key;
}

/* False where they cannot be kept: then nothing is ever compared. */
static __always_inline bool keep_mib(struct net *net, const struct mib_counters *now)
{
	struct mib_key key = mib_key_of(net);

	return !bpf_map_update_elem(&mib_baselines, &key, now, BPF_ANY);
}

/* sk_acceptq_is_full */
static __always_inline bool queue_is_full(struct sock *sk)
{
	return sk && bpf_core_field_exists(sk->sk_max_ack_backlog) && READ(sk, __sk_common.skc_state) == TCP_LISTEN &&
	       READ(sk, sk_ack_backlog) > READ(sk, sk_max_ack_backlog);
}

/*
 * Every deferred ACK is seen here, so that one count is one packet. Overflows count
 * refused SYNs, too: they are this packet's where a probe keeps the count of those.
 * The first look has nothing to compare with: there, what never happened did not
 * happen now.
 */
static __always_inline u32 handshake_flags(const struct mib_counters *now,
					   const struct mib_counters *last, bool hooked)
{
	if (!last || last->deferred > now->deferred || last->overflows > now->overflows)
		return now->deferred && !now->overflows ? FLAG_DEFERRED : 0;
	if (now->deferred != last->deferred)
		return FLAG_DEFERRED;
	return hooked && now->overflows != last->overflows ? FLAG_OVERFLOW : 0;
}

static __always_inline bool has_no_reason(const struct event *e)
{
	if (!has_reason)
		return true;
	return bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED) &&
	       e->reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED);
}

__noinline int step_handshake(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct mib_counters now = {};
	struct mib_key key;
	struct event *e;
	u32 flags;

	if (!s || !c || !s->net)
		return 0;
	e = &s->event;
	if (s->kind == SITE_TCP && !has_no_reason(e))
		return 0;
	if (!read_mib(&now, (void *)s->net))
		return 0;
	key = mib_key_of((void *)s->net);
	flags = handshake_flags(&now, bpf_map_lookup_elem(&mib_baselines, &key),
				c->listen_hooked && !has_receiver);
	if (keep_mib((void *)s->net, &now))
		e->flags |= flags;
	if (has_receiver && !(e->flags & FLAG_DEFERRED) && queue_is_full((void *)s->receiver))
		e->flags |= FLAG_OVERFLOW;
	return 0;
}

#endif
