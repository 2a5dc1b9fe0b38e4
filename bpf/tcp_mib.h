/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_mib.h - this CPU's share of a namespace's TCP counters (nstat: TcpExtListenDrops
 * and its like). Softirqs are off where the kernel counts in them, so that between
 * the count and the free that follows nothing else on this CPU moves them.
 */
#ifndef DROPTRACE_TCP_MIB_H
#define DROPTRACE_TCP_MIB_H

#include "config.h"
#include "xt_counter.h"

struct mib_counters {
	u64 drops;
	u64 overflows;
	u64 queue_full;
	u64 deferred;
};

/* False where the numbers of the counters are not known (yet). */
static __always_inline bool read_mib(struct mib_counters *out, struct net *net)
{
	u64 mib = (u64)READ(net, mib.net_statistics), cpu = this_cpu_offset();
	const struct config *c = get_config();

	if (!c || !c->mib_listen_drops || !mib || !cpu)
		return false;
	mib += cpu;
	bpf_probe_read_kernel(&out->drops, 8, (void *)(mib + c->mib_listen_drops * 8));
	bpf_probe_read_kernel(&out->overflows, 8, (void *)(mib + c->mib_listen_overflows * 8));
	bpf_probe_read_kernel(&out->queue_full, 8, (void *)(mib + c->mib_queue_full * 8));
	bpf_probe_read_kernel(&out->deferred, 8, (void *)(mib + c->mib_deferred * 8));
	return true;
}

#endif
