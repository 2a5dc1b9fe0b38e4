/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * handshake.h - packets that a listening socket leaves after it answered their SYN.
 *
 * With TCP_DEFER_ACCEPT the bare ACK of a handshake is thrown away on purpose: the
 * socket remembers it and takes the connection when data come (tcp_check_req). An
 * ACK that finds the accept queue full is freed at the same place, for no reason
 * either (before 6.14). This CPU's counters tell them apart: the kernel counts,
 * then frees, with nothing between.
 */
#ifndef DROPTRACE_HANDSHAKE_H
#define DROPTRACE_HANDSHAKE_H

#include "mib.h"

#define MAX_MIB_BASELINES 4096

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

/*
 * Every deferred ACK is seen here, so that one count is one packet. Overflows count
 * refused SYNs too, which are not seen: one may have been this packet's. The first
 * look has nothing to compare with: there, what never happened did not happen now.
 */
static __always_inline u32 handshake_flags(const struct mib_counters *now,
					   const struct mib_counters *last)
{
	if (last && last->deferred <= now->deferred && last->overflows <= now->overflows) {
		if (now->deferred != last->deferred)
			return FLAG_DEFERRED;
		return now->overflows != last->overflows ? FLAG_OVERFLOW : 0;
	}
	if (now->overflows)
		return FLAG_OVERFLOW;
	return now->deferred ? FLAG_DEFERRED : 0;
}

static __always_inline bool has_no_reason(const struct event *e)
{
	return !has_reason ||
	       e->reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED);
}

__noinline int step_handshake(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct mib_counters now = {}, *last;
	struct mib_key key = {};

	if (!s || !s->net || !has_no_reason(&s->event) || !read_mib(&now, (void *)s->net))
		return 0;
	key.netns = s->event.netns_cookie ?: s->event.netns;
	key.cpu = bpf_get_smp_processor_id();
	last = bpf_map_lookup_elem(&mib_baselines, &key);
	s->event.flags |= handshake_flags(&now, last);
	if (last)
		*last = now;
	else
		bpf_map_update_elem(&mib_baselines, &key, &now, BPF_ANY);
	return 0;
}

#endif
