/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * scratch.h - the memory of one run, and the steps' way to it.
 */
#ifndef DROPTRACE_SCRATCH_H
#define DROPTRACE_SCRATCH_H

#include "filter.h"
#include "frame.h"
#include "loss_key.h"
#include "notes.h"
#include "xt_counter.h"

#define LEVELS 3 /* a softirq may interrupt a run before 6.x; kernels since skip it */
#define CALIBRATION_BYTES 48 /* of memory behind each word: holds a hook state */
#define CALIBRATION_HOOKS 8

/* What tracer/calibrate works on; mirrored there. */
struct calibration {
	struct event event;
	u64 start;
	u64 state;
	u64 entries;
	struct hook_entry hooks[CALIBRATION_HOOKS];
	u64 words[WINDOW_WORDS];
	u8 memory[WINDOW_WORDS][CALIBRATION_BYTES];
};

/*
 * One run's memory. Pointers pass through it as numbers: the steps below are
 * global functions, which the verifier checks each on its own and which take
 * nothing but numbers on 5.10.
 */
struct scratch {
	struct loss_key loss_key;
	u64 one; /* with the event behind it a value of losses */
	struct event event;
	struct window window;
	struct hook_scan scan;
	struct xt_walk walk;
	struct filter_work filter_work;
	struct note note;
	struct ct_info swap; /* conntrack failures: see step_filter_failure */
	struct frame_site site; /* kind 0: not calibrated */
	u64 context;		/* ctx */
	u64 skb;
	u64 receiver; /* struct sock, where the tracepoint tells it */
	u64 net;
	u64 state;
	u64 entries;
	u64 rule;  /* nft: header of a rule */
	u64 chain; /* nft: the chain it stands in */
	u64 bytes; /* where the packet begins */
	u32 kind; /* enum site_kind */
	u32 calibrating;
	u32 linear; /* how many bytes can be read from there on */
	u32 before_data; /* where skb->data lies in them */
	u32 frame_data; /* and in the frame that the expression looks at */
	u32 length; /* skb->len */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEVELS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct calibration);
} calibrations SEC(".maps");

struct per_cpu_state {
	u32 busy[LEVELS]; /* a run has that scratch */
	u32 pad;
	u64 member;  /* the next fragment to be freed with its head */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct per_cpu_state);
} per_cpu SEC(".maps");

/*
 * Runs need not end in the order in which they began: fentry programs can be
 * preempted. LEVELS: all are busy.
 */
static __always_inline u32 take_level(struct per_cpu_state *p)
{
	for (u32 i = 0; i < LEVELS; i++) {
		if (!p->busy[i]) {
			p->busy[i] = 1;
			return i;
		}
	}
	return LEVELS;
}

static __always_inline void give_level(struct per_cpu_state *p, u32 level)
{
	if (level < LEVELS)
		p->busy[level] = 0;
}

static __always_inline struct scratch *get_scratch(u32 level)
{
	return bpf_map_lookup_elem(&scratches, &level);
}

/* All but the stack; in two, since clang clears no more than 1 KiB in line. */
static __always_inline void clear_event(struct event *e)
{
	__builtin_memset(e, 0, __builtin_offsetof(struct event, failure));
	__builtin_memset(&e->failure, 0, sizeof(e->failure));
	__builtin_memset(&e->listen, 0, sizeof(e->listen));
}

#endif
