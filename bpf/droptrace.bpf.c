//go:build ignore

// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * droptrace.bpf.c - the program on kfree_skb. It alone emits drops; the others
 * (netfilter_programs.h, ct_programs.h, tcp_listen.h) leave notes for it.
 */
#include "arrivals.h"
#include "attribute.h"
#include "calibrate.h"
#include "ct_entry.h"
#include "ct_fail.h"
#include "ct_programs.h"
#include "filter_expression_packet.h"
#include "filter_step.h"
#include "fragments.h"
#include "losses.h"
#include "netfilter_programs.h"
#include "packet.h"
#include "packet_pages.h"
#include "socket.h"
#include "tcp_handshake.h"
#include "tcp_headerless.h"
#include "tcp_listen.h"
#include "tcp_synproxy.h"
#include "xt_track.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Conditions that only attribution can answer. */
#define FILTER_NEEDS_HOOK (FILTER_ANY_IFACE | FILTER_HOOK | FILTER_NETFILTER)

#define CALLER_DEPTH 8 /* the tracepoint's own frames, the function's, its caller's */

/* A step of its own: inlined, the verifier would walk what follows once for each exit. */
__noinline int step_site_kind(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	u64 location;

	if (!s || !c)
		return 0;
	location = s->event.location;
	for (int i = 0; i < SITE_RANGES; i++) {
		if (!c->sites[i].start)
			break;
		if (location > c->sites[i].start && location <= c->sites[i].end) {
			s->kind = c->sites[i].kind;
			return 0;
		}
	}
	s->kind = SITE_OTHER;
	return 0;
}

/* Who called the function that frees: the stack's entry above its own. */
__noinline int step_find_caller(u32 level)
{
	struct scratch *s = get_scratch(level);

	if (!s)
		return 0;
	for (u32 i = 0; i < CALLER_DEPTH - 1; i++)
		if (s->event.stack[i] == s->event.location) {
			s->event.caller = s->event.stack[i + 1];
			break;
		}
	return 0;
}

/* Whether anybody asked for it: flags, then the expression. Counts it if not. */
static __always_inline bool wanted(u32 level, struct scratch *s, u64 *ctx, bool pages)
{
	int value = 0;

	if (step_filter(level))
		value = step_expression(level);
	if (pages && expression_depth && value == EXPRESSION_OUTSIDE &&
	    add_frame_pages(level, s, ctx))
		value = step_judge(level);
	if (value != 0 && value != EXPRESSION_OUTSIDE)
		return true;
	count(COUNT_FILTERED);
	if (value)
		count(COUNT_UNDECIDED);
	return false;
}

static __always_inline void emit(u32 level, struct scratch *s, u64 *ctx, bool pages)
{
	struct event *e = &s->event;
	u64 size = EVENT_SHORT;
	long err;

	if (e->flags & FLAG_FAILURE)
		size = EVENT_NO_STACK;
	if (with_stack) {
		__builtin_memset(e->stack, 0, sizeof(e->stack));
		bpf_get_stack(ctx, e->stack, sizeof(e->stack), 0);
		e->flags |= FLAG_STACK;
		size = sizeof(*e);
	}
	if (snaplen) {
		step_read_bytes(level);
		if (pages)
			add_pages(level, s, ctx);
		err = step_send_bytes(level);
	} else {
		e->bytes.front = size;
		err = bpf_ringbuf_output(&events, e, size, 0);
	}
	count(err ? COUNT_LOST : COUNT_DELIVERED);
	if (err)
		step_count_loss(level);
}

static __always_inline void start_event(struct scratch *s, u64 *ctx)
{
	struct event *e = &s->event;

	clear_event(e);
	e->type = EVENT_DROP;
	e->hook = NO_HOOK;
	e->time = bpf_ktime_get_ns();
	e->location = ctx[1];
	if (has_reason)
		e->reason = ctx[2];
	e->cpu = bpf_get_smp_processor_id();
	s->context = (u64)ctx;
	s->skb = ctx[0];
	s->receiver = has_receiver ? ctx[3] : 0;
	s->state = 0;
	s->entries = 0;
}

static __always_inline void handle(u32 level, struct scratch *s, struct per_cpu_state *p, u64 *ctx,
				   bool loops, bool pages)
{
	const struct config *c = get_config();
	struct sk_buff *skb = (void *)ctx[0];
	bool early;

	if (!c)
		return;
	start_event(s, ctx);
	s->net = (u64)read_packet(&s->event, skb);
	if (has_receiver && s->receiver)
		step_receiver_net(level);
	if (s->event.flags & FLAG_HEADERLESS)
		step_make_header(level);
	measure_bytes(s, skb);
	read_conntrack(&s->event, skb);
	step_site_kind(level);
	s->calibrating = in_calibration(&s->event);
	if (s->calibrating) {
		step_read_frame(level);
		step_find_state(level);
		step_calibrate(level);
		return;
	}
	if (!c->ready)
		return;
	if (s->kind == SITE_LIST) {
		bpf_get_stack(ctx, s->event.stack, CALLER_DEPTH * sizeof(u64), 0);
		step_find_caller(level);
		s->kind = SITE_OTHER;
	} else if (s->kind >= SITE_TCP) {
		step_handshake(level);
		s->kind = SITE_OTHER;
	}
	count(COUNT_SEEN);
	if (is_member(p, skb)) {
		count(COUNT_MEMBERS);
		return;
	}
	if (s->event.flags & FLAG_HEAD_FRAGS)
		expect_members(p, skb);
	if (conntrack_only && !s->kind) {
		count(COUNT_FILTERED);
		return;
	}
	/* Counters of legacy rules must be followed through every drop of theirs. */
	early = s->kind != SITE_HOOK_SLOW && !(filter.want & FILTER_NEEDS_HOOK);
	if (early && !wanted(level, s, ctx, pages))
		return;
	if (s->kind)
		attribute(level, s, loops);
	if (s->kind && !step_ct_failure(level) && conntrack_only) {
		count(COUNT_FILTERED);
		return;
	}
	if (!early && !wanted(level, s, ctx, pages))
		return;
	step_socket(level);
	emit(level, s, ctx, pages);
}

/* What handle does, without looking for who dropped. */
static __always_inline void handle_plain(u32 level, struct scratch *s, struct per_cpu_state *p, u64 *ctx)
{
	const struct config *c = get_config();
	struct sk_buff *skb = (void *)ctx[0];

	if (!c)
		return;
	start_event(s, ctx);
	s->net = (u64)read_packet(&s->event, skb);
	measure_bytes(s, skb);
	if (!c->ready)
		return;
	count(COUNT_SEEN);
	if (is_member(p, skb)) {
		count(COUNT_MEMBERS);
		return;
	}
	if (s->event.flags & FLAG_HEAD_FRAGS)
		expect_members(p, skb);
	if (wanted(level, s, ctx, false))
		emit(level, s, ctx, false);
}

/*
 * The callers' variables may live in registers that every function down to here
 * left alone: touching R6 to R9 makes the JIT's prologue push them into reach.
 */
static __always_inline void push_registers(void)
{
	asm volatile("r6 = 0; r7 = 0; r8 = 0; r9 = 0" ::: "r6", "r7", "r8", "r9");
}

static __always_inline int on_kfree_skb(u64 *ctx, bool loops, bool pages)
{
	u32 zero = 0, level;
	struct per_cpu_state *p = bpf_map_lookup_elem(&per_cpu, &zero);
	struct scratch *s;

	push_registers();
	if (!p)
		return 0;
	level = take_level(p);
	s = get_scratch(level);
	if (!s) {
		count(COUNT_NESTED);
		return 0;
	}
	handle(level, s, p, ctx, loops, pages);
	give_level(p, level);
	return 0;
}

SEC("tp_btf/kfree_skb")
int kfree_skb(u64 *ctx)
{
	return on_kfree_skb(ctx, true, false);
}

/* For kernels that read all of a packet (6.12 and later), where that is wanted. */
SEC("tp_btf/kfree_skb")
int kfree_skb_pages(u64 *ctx)
{
	return on_kfree_skb(ctx, true, true);
}

/* Attached for a moment, so that calibration sees frames beside another program. */
SEC("tp_btf/kfree_skb")
int companion(u64 *ctx)
{
	return 0;
}

/* For kernels that take none of the others: the packet, where and why. */
SEC("tp_btf/kfree_skb")
int kfree_skb_plain(u64 *ctx)
{
	u32 zero = 0, level;
	struct per_cpu_state *p = bpf_map_lookup_elem(&per_cpu, &zero);
	struct scratch *s;

	if (!p)
		return 0;
	level = take_level(p);
	s = get_scratch(level);
	if (!s) {
		count(COUNT_NESTED);
		return 0;
	}
	handle_plain(level, s, p, ctx);
	give_level(p, level);
	return 0;
}

/* For kernels without bpf_loop (before 5.17). */
SEC("tp_btf/kfree_skb")
int kfree_skb_unrolled(u64 *ctx)
{
	return on_kfree_skb(ctx, false, false);
}
