/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * frame.h - reading the callers' variables from the stack.
 *
 * A tracepoint program's context lies in bpf_trace_run's frame. The frames of
 * kfree_skb's callers lie above it, still live, and the registers that they
 * expect to find again lie where the functions in between, this program
 * included, pushed them. Which word holds which variable is the compiler's
 * choice and the same at each run of one call site: calibration finds it
 * (tracer/calibrate), struct frame_site says it.
 */
#ifndef DROPTRACE_FRAME_H
#define DROPTRACE_FRAME_H

#include "config.h"

#define BELOW_WORDS 96	/* this program's frame: pushes of its prologue */
#define ABOVE_WORDS 256 /* up to the caller of nf_hook_slow */
#define ABOVE_BYTES (ABOVE_WORDS * 8) /* a power of two: used as a mask */
#define PAGE_BYTES 4096 /* of the smallest pages: stacks end on a boundary of them */
#define WINDOW_WORDS (BELOW_WORDS + ABOVE_WORDS)
#define DISTANCE_WORDS 32 /* the return address lies nearer than this */
#define ARGUMENT_WORDS 4  /* ctx itself, whose second word is the location too */

struct window {
	u64 start; /* address of words[0] */
	u64 words[WINDOW_WORDS];
	u64 slack[ABOVE_WORDS]; /* the verifier adds up the most that two reads may take */
};

static __always_inline void read_window(struct window *w, u64 ctx)
{
	u32 first = PAGE_BYTES - (ctx & (PAGE_BYTES - 1));
	u8 *above = (u8 *)&w->words[BELOW_WORDS];
	u32 rest;

	w->start = ctx - BELOW_WORDS * 8;
	bpf_probe_read_kernel(w->words, BELOW_WORDS * 8, (void *)w->start);
	if (first >= ABOVE_BYTES) {
		bpf_probe_read_kernel(above, ABOVE_BYTES, (void *)ctx);
		return;
	}
	/* In two: the stack may end with this page; a read that fails gives zeros. */
	rest = ABOVE_BYTES - first;
	asm volatile("" : "+r"(first), "+r"(rest)); /* keeps clang from undoing the bounds */
	if (first > ABOVE_BYTES || rest > ABOVE_BYTES)
		return;
	bpf_probe_read_kernel(above, first, (void *)ctx);
	first &= ABOVE_BYTES - 1;
	bpf_probe_read_kernel(above + first, rest & (ABOVE_BYTES - 1), (void *)ctx + first);
}

/*
 * One word, where calibration told which: the window need not be read whole. What
 * lies below ctx is the helper's to read, see step_read_frame.
 */
static __always_inline void read_slot(struct window *w, s16 slot)
{
	u32 i = (u32)(s32)slot;

	if (i >= WINDOW_WORDS)
		return;
	if (direct_reads && i >= BELOW_WORDS)
		w->words[i] = READ_AT(u64, w->start + i * 8);
	else
		bpf_probe_read_kernel(&w->words[i], sizeof(u64), (void *)(w->start + i * 8));
}

static __always_inline u64 window_word(const struct window *w, s16 slot)
{
	u32 i = (u32)(s32)slot;

	if (i >= WINDOW_WORDS)
		return 0;
	return w->words[i];
}

#if defined(__TARGET_ARCH_arm64)
/* Those bits of a return address that the CPU does not sign. Go knows. */
const volatile u64 return_bits = -1ULL;

/* Whether a word of the stack is that return address, signed or not. */
static __always_inline bool returns_to(u64 word, u64 location)
{
	return !((word ^ location) & return_bits);
}
#else
static __always_inline bool returns_to(u64 word, u64 location)
{
	return word == location;
}
#endif

/*
 * Words from ctx to the return address of the call that frees. The first match
 * counts: above it, callers' frames may hold the same address from an earlier
 * packet.
 */
static __always_inline s64 frame_distance(struct window *w, u64 ctx, u64 location)
{
	u64 *near = &w->words[BELOW_WORDS];

	if (direct_reads) {
		for (int i = ARGUMENT_WORDS; i < DISTANCE_WORDS; i++)
			if (returns_to(READ_AT(u64, ctx + i * 8), location))
				return i;
		return -1;
	}
	bpf_probe_read_kernel(near, DISTANCE_WORDS * 8, (void *)ctx);
	for (int i = ARGUMENT_WORDS; i < DISTANCE_WORDS; i++)
		if (returns_to(near[i], location))
			return i;
	return -1;
}

static __always_inline bool on_stack(const struct window *w, u64 p)
{
	u64 ctx = w->start + BELOW_WORDS * 8;

	return p > ctx && p < ctx + stack_size && !(p & 7);
}

#endif
