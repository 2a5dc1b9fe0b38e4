//go:build ignore

// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * droptrace.bpf.c - the programs. Only kfree_skb's emits drops; the others
 * leave notes for it.
 */
#include "asked.h"
#include "attribute.h"
#include "conntrack.h"
#include "ctfail.h"
#include "ctprobe.h"
#include "expression_packet.h"
#include "listen.h"
#include "packet.h"
#include "pages.h"
#include "probes.h"
#include "track.h"

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile bool has_reason = 0; /* kfree_skb's third argument: 5.17 and later */

/* Conditions that only attribution can answer. */
#define FILTER_NEEDS_HOOK (FILTER_ANY_IFACE | FILTER_HOOK | FILTER_NETFILTER)

/*
 * Fragments of a reassembled datagram are freed right behind their head, one
 * call each: the same lost packet.
 */
static __always_inline bool is_member(struct per_cpu_state *p, struct sk_buff *skb)
{
	u64 expected = p->member;

	p->member = 0;
	if (expected != (u64)skb)
		return false;
	p->member = (u64)BPF_CORE_READ(skb, next);
	return true;
}

static __always_inline void expect_members(struct per_cpu_state *p, struct sk_buff *skb)
{
	struct skb_shared_info *shared;

	shared = (void *)(BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, end));
	p->member = (u64)BPF_CORE_READ(shared, frag_list);
}

static __always_inline u32 site_kind(const struct config *c, u64 location)
{
	for (int i = 0; i < SITE_RANGES; i++)
		if (location > c->sites[i].start && location <= c->sites[i].end)
			return c->sites[i].kind;
	return SITE_OTHER;
}

/* A packet of our own in the calibration namespace: the frame goes to Go whole. */
__noinline int step_calibrate(u32 level)
{
	struct scratch *s = get_scratch(level);
	u32 zero = 0;
	struct calibration *out = bpf_map_lookup_elem(&calibrations, &zero);

	if (!s || !out)
		return 0;
	if (s->state)
		step_scan_hooks(level);
	/* More than clang will copy in line. */
	bpf_probe_read_kernel(&out->event, sizeof(out->event), &s->event);
	out->event.type = EVENT_CALIBRATION;
	out->start = s->window.start;
	out->state = s->state;
	out->entries = s->entries;
	for (u32 i = 0; i < CALIBRATION_HOOKS; i++)
		read_entry(&out->hooks[i], out->entries, i);
	for (u32 i = 0; i < WINDOW_WORDS; i++) {
		u64 word = s->window.words[i];

		out->words[i] = word;
		bpf_probe_read_kernel(out->memory[i], CALIBRATION_BYTES,
				      is_kernel_address(word) ? (void *)word : NULL);
	}
	bpf_ringbuf_output(&events, out, sizeof(*out), 0);
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
	measure_bytes(s, skb);
	read_conntrack(&s->event, skb);
	s->kind = site_kind(c, s->event.location);
	s->calibrating = c->calibration_netns && s->event.netns == c->calibration_netns;
	if (s->calibrating) {
		step_read_frame(level);
		step_find_state(level);
		step_calibrate(level);
		return;
	}
	if (!c->ready)
		return;
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
	read_task(&s->event, *(volatile u64 *)&s->context);
	emit(level, s, ctx, pages);
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
	level = p->level;
	s = get_scratch(level);
	if (!s) {
		count(COUNT_NESTED);
		return 0;
	}
	p->level = level + 1;
	handle(level, s, p, ctx, loops, pages);
	p->level = level;
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

/* For kernels without bpf_loop (before 5.17). */
SEC("tp_btf/kfree_skb")
int kfree_skb_unrolled(u64 *ctx)
{
	return on_kfree_skb(ctx, false, false);
}

/* int nf_hook_slow(skb, state, entries, s) */
SEC("fentry/nf_hook_slow")
int fentry_hook_slow(u64 *ctx)
{
	leave_hook_note(ctx[0], ctx[1], ctx[2]);
	return 0;
}

SEC("kprobe/nf_hook_slow")
int kprobe_hook_slow(struct pt_regs *ctx)
{
	leave_hook_note(REGS_PARM1(ctx), REGS_PARM2(ctx), REGS_PARM3(ctx));
	return 0;
}

/* void nft_*_eval(expr, regs, pkt) */
SEC("fentry/nft_immediate_eval")
int fentry_immediate(u64 *ctx)
{
	if (immediate_drops(ctx[0]))
		note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT);
	return 0;
}

SEC("kprobe/nft_immediate_eval")
int kprobe_immediate(struct pt_regs *ctx)
{
	u64 expr = REGS_PARM1(ctx);

	if (immediate_drops(expr))
		note_expression(expr, REGS_PARM3(ctx), rule_in_registers(ctx, expr), NOTE_NFT);
	return 0;
}

/* Attached to each nft_reject_*_eval: no way out but the drop. */
SEC("fentry/nft_reject_ipv4_eval")
int fentry_reject(u64 *ctx)
{
	note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT_REJECT);
	return 0;
}

SEC("kprobe/nft_reject_ipv4_eval")
int kprobe_reject(struct pt_regs *ctx)
{
	u64 expr = REGS_PARM1(ctx);

	note_expression(expr, REGS_PARM3(ctx), rule_in_registers(ctx, expr), NOTE_NFT_REJECT);
	return 0;
}

/* Attached to evals that drop or not: nft_lookup_eval, nft_target_eval_xt, ... */
SEC("fexit/nft_lookup_eval")
int fexit_eval(u64 *ctx)
{
	if (verdict_is_drop(ctx[1]))
		note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT);
	return 0;
}

SEC("kprobe/nft_lookup_eval")
int kprobe_eval(struct pt_regs *ctx)
{
	leave_pending(REGS_PARM1(ctx), REGS_PARM2(ctx), REGS_PARM3(ctx));
	return 0;
}

SEC("kretprobe/nft_lookup_eval")
int kretprobe_eval(struct pt_regs *ctx)
{
	finish_pending(ctx);
	return 0;
}

/* unsigned int reject_tg(skb, par), reject_tg6 */
SEC("fentry/reject_tg")
int fentry_xt_reject(u64 *ctx)
{
	note_target(argument(ctx, 0), argument(ctx, 1));
	return 0;
}

SEC("kprobe/reject_tg")
int kprobe_xt_reject(struct pt_regs *ctx)
{
	note_target(REGS_PARM1(ctx), REGS_PARM2(ctx));
	return 0;
}

/* Conntrack's failing paths: see ctprobe.h. */
SEC("fentry/nf_ct_resolve_clash")
int fentry_clash(u64 *ctx)
{
	clash_entry(stack_of(ctx), argument(ctx, 0), argument(ctx, 1));
	return 0;
}

SEC("fexit/nf_ct_resolve_clash")
int fexit_clash(u64 *ctx)
{
	clash_exit(stack_of(ctx), argument(ctx, 3));
	return 0;
}

SEC("kprobe/nf_ct_resolve_clash")
int kprobe_clash(struct pt_regs *ctx)
{
	clash_entry(REGS_STACK(ctx), REGS_PARM1(ctx), REGS_PARM2(ctx));
	return 0;
}

SEC("kretprobe/nf_ct_resolve_clash")
int kretprobe_clash(struct pt_regs *ctx)
{
	clash_exit(REGS_STACK(ctx), REGS_RETURN(ctx));
	return 0;
}

SEC("fentry/early_drop")
int fentry_early(u64 *ctx)
{
	early_entry(stack_of(ctx), argument(ctx, 0));
	return 0;
}

SEC("fexit/early_drop")
int fexit_early(u64 *ctx)
{
	early_exit(stack_of(ctx), (s32)argument(ctx, 2));
	return 0;
}

SEC("kprobe/early_drop")
int kprobe_early(struct pt_regs *ctx)
{
	early_entry(REGS_STACK(ctx), REGS_PARM1(ctx));
	return 0;
}

SEC("kretprobe/early_drop")
int kretprobe_early(struct pt_regs *ctx)
{
	early_exit(REGS_STACK(ctx), (s32)REGS_RETURN(ctx));
	return 0;
}

SEC("fentry/__nf_conntrack_alloc")
int fentry_alloc(u64 *ctx)
{
	alloc_entry(stack_of(ctx), argument(ctx, 2));
	return 0;
}

SEC("kprobe/__nf_conntrack_alloc")
int kprobe_alloc(struct pt_regs *ctx)
{
	alloc_entry(REGS_STACK(ctx), REGS_PARM3(ctx));
	return 0;
}

SEC("fentry/nf_ct_delete")
int fentry_delete(u64 *ctx)
{
	delete_entry(stack_of(ctx), argument(ctx, 0));
	return 0;
}

SEC("fexit/nf_ct_delete")
int fexit_delete(u64 *ctx)
{
	delete_exit(stack_of(ctx), (u8)argument(ctx, 3));
	return 0;
}

SEC("kprobe/nf_ct_delete")
int kprobe_delete(struct pt_regs *ctx)
{
	delete_entry(REGS_STACK(ctx), REGS_PARM1(ctx));
	return 0;
}

SEC("kretprobe/nf_ct_delete")
int kretprobe_delete(struct pt_regs *ctx)
{
	delete_exit(REGS_STACK(ctx), (u8)REGS_RETURN(ctx));
	return 0;
}

/* (skb, ct, state, fmt, ...); without state before 5.14 */
SEC("kprobe/nf_ct_l4proto_log_invalid")
int kprobe_ct_invalid(struct pt_regs *ctx)
{
	struct nf_conn *ct = (void *)REGS_PARM2(ctx);
	u64 net = (u64)BPF_CORE_READ(ct, ct_net.net);

	if (has_state_shape(REGS_PARM3(ctx), net))
		complain(REGS_PARM1(ctx), REGS_PARM3(ctx), net, REGS_PARM4(ctx), REGS_PARM5(ctx));
	else
		complain(REGS_PARM1(ctx), 0, net, REGS_PARM3(ctx), REGS_PARM4(ctx));
	return 0;
}

/* (skb, state, protonum, fmt, ...); (skb, net, pf, protonum, fmt, ...) before */
SEC("kprobe/nf_l4proto_log_invalid")
int kprobe_l4_invalid(struct pt_regs *ctx)
{
	struct nf_hook_state *state = (void *)REGS_PARM2(ctx);

	if (has_state_shape((u64)state, 0))
		complain(REGS_PARM1(ctx), (u64)state, (u64)BPF_CORE_READ(state, net),
			 REGS_PARM4(ctx), REGS_PARM5(ctx));
	else
		complain(REGS_PARM1(ctx), 0, REGS_PARM2(ctx), REGS_PARM5(ctx), REGS_PARM6(ctx));
	return 0;
}

/* int tcp_conn_request(rsk_ops, af_ops, sk, skb): see listen.h. */
SEC("fentry/tcp_conn_request")
int fentry_request(u64 *ctx)
{
	request_entry(stack_of(ctx), argument(ctx, 2), argument(ctx, 3));
	return 0;
}

SEC("fexit/tcp_conn_request")
int fexit_request(u64 *ctx)
{
	request_exit(stack_of(ctx));
	return 0;
}

SEC("kprobe/tcp_conn_request")
int kprobe_request(struct pt_regs *ctx)
{
	request_entry(REGS_STACK(ctx), REGS_PARM3(ctx), REGS_PARM4(ctx));
	return 0;
}

SEC("kretprobe/tcp_conn_request")
int kretprobe_request(struct pt_regs *ctx)
{
	request_exit(REGS_STACK(ctx));
	return 0;
}

/* Finds the table of xt_queries in the namespace of the task that runs this. */
SEC("raw_tp/droptrace_xt_find")
int xt_find(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net = BPF_CORE_READ(task, nsproxy, net_ns);
	const struct config *c = get_config();
	u32 zero = 0;
	struct xt_query *q = bpf_map_lookup_elem(&xt_queries, &zero);
	struct hook_scan *scan = bpf_map_lookup_elem(&xt_query_scan, &zero);
	struct rule_info r = {};

	if (!q || !c || !scan)
		return 0;
	__builtin_memset(scan, 0, sizeof(*scan));
	scan_entries(scan, net, hook_entries(net, q->pf, q->hook, 0), q->pf);
	if (scan->nat_entries)
		scan_entries(scan, net, scan->nat_entries, q->pf);
	for (u32 i = 0; i < MAX_XT_TABLES; i++) {
		u64 table = scan->xt_table[i];

		if (i >= scan->xt)
			break;
		name_xt_table(&r, &c->layout, table);
		if (!same_name(r.table, q->name))
			continue;
		q->table = table;
		q->private = read_u64(table + c->layout.xt_private);
		bpf_probe_read_kernel(&q->size, 4, (void *)(q->private + XT_INFO_SIZE));
		bpf_probe_read_kernel(&q->number, 4, (void *)(q->private + XT_INFO_NUMBER));
		return 0;
	}
	return 0;
}

/*
 * Run on each CPU in turn: takes the counters as they are for the values to
 * compare with. Arguments: the table, and which of its entries.
 */
SEC("raw_tp/droptrace_xt_baseline")
int xt_baseline(u64 *ctx)
{
	return baseline(ctx[0], ctx[1], ctx[2]);
}
