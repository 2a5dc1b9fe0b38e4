/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nft_pending.h - evals under way, for kretprobes, which have no arguments.
 *
 * Evals nest: an nft_target_eval_xt that rejects sends an answer, which meets
 * chains of its own before the target returns. They nest as the stack does, so
 * each is told by where its nft_regs lie: in the frame of the nft_do_chain that
 * called it, above all that it calls.
 */
#ifndef DROPTRACE_NFT_PENDING_H
#define DROPTRACE_NFT_PENDING_H

#include "notes.h"

#define MAX_PENDING 8 /* a power of two: indexes are masked with it */
#define REGS_REACH 1024 /* from an eval's return address up to its nft_regs */
#define UNSEEN_NS 10000000ULL /* an end that was missed spoils policies for so long */

struct pending {
	u64 expr;
	u64 regs;
	u64 pkt;
};

struct pendings {
	u32 level;
	u32 inside; /* handlers of ours under way on this CPU */
	u64 unseen; /* when an eval ended that was not known to have begun */
	struct pending at[MAX_PENDING];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct pendings);
} pending_evals SEC(".maps");

static __always_inline struct pendings *get_pendings(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&pending_evals, &zero);
}

/*
 * While a kprobe's handler runs, no other kprobe of its CPU is called: of packets
 * that a softirq brings meanwhile nothing is seen. A fentry program is not called
 * while it runs itself.
 */
static __always_inline void enter_handler(void)
{
	struct pendings *p = get_pendings();

	if (p)
		p->inside++;
}

static __always_inline void leave_handler(void)
{
	struct pendings *p = get_pendings();

	if (p)
		p->inside--;
}

/* Whether low lies below high, on the same stack. */
static __always_inline bool is_below(u64 low, u64 high)
{
	return low <= high && high - low < stack_size;
}

static __always_inline void leave_pending(u64 expr, u64 regs, u64 pkt)
{
	struct pendings *p = get_pendings();
	struct pending *at;
	u32 level;

	if (!p)
		return;
	level = p->level;
	/* Those of this frame or of deeper ones have ended, seen or not. */
	for (u32 i = 0; i < MAX_PENDING; i++) {
		if (!level || !is_below(p->at[(level - 1) & (MAX_PENDING - 1)].regs, regs))
			break;
		level--;
	}
	if (level >= MAX_PENDING) {
		p->unseen = bpf_ktime_get_ns();
		return;
	}
	at = &p->at[level & (MAX_PENDING - 1)];
	at->expr = expr;
	at->regs = regs;
	at->pkt = pkt;
	p->level = level + 1;
}

/* The eval that returns to stack; false where its beginning is not known. */
static __always_inline bool take_pending(struct pending *out, u64 stack)
{
	struct pendings *p = get_pendings();
	u32 level;

	if (!p)
		return false;
	level = p->level;
	for (u32 i = 0; i < MAX_PENDING; i++) {
		struct pending *at = &p->at[(level - 1) & (MAX_PENDING - 1)];

		if (!level)
			break;
		level--;
		if (at->regs < stack || at->regs > stack + REGS_REACH)
			continue;
		*out = *at;
		p->level = level;
		return true;
	}
	p->unseen = bpf_ktime_get_ns();
	return false;
}

/*
 * Whether an eval below the hook state may have given a verdict that nobody saw.
 * Evals that are rightly under way lie above it: this packet is an answer of
 * theirs.
 */
static __always_inline bool eval_unseen(u64 state)
{
	struct pendings *p = get_pendings();

	if (!p || p->inside)
		return true;
	if (p->unseen && bpf_ktime_get_ns() - p->unseen < UNSEEN_NS)
		return true;
	for (u32 i = 0; i < MAX_PENDING; i++)
		if (i < p->level && is_below(p->at[i].regs, state))
			return true;
	return false;
}

#endif
