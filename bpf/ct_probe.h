/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ct_probe.h - what probes on conntrack's failing paths see.
 *
 * nf_ct_resolve_clash, early_drop and the log functions run only when something
 * goes wrong. Two more are for `droptrace conntrack` alone, since every new and
 * every ended connection passes them: __nf_conntrack_alloc, whose argument is the
 * packet's tuple, and nf_ct_delete, whose argument is the connection that
 * early_drop evicts.
 */
#ifndef DROPTRACE_CT_PROBE_H
#define DROPTRACE_CT_PROBE_H

#include "ct_record.h"
#include "probes.h"

#define ALLOC_DEPTH 2048 /* from __nf_conntrack_alloc down to nf_ct_delete */

/* Calls under way on this CPU. Each is believed only from below it on its stack. */
struct ct_run {
	u64 alloc_stack;
	u64 alloc_tuple; /* const struct nf_conntrack_tuple * */
	u64 early_stack;
	u64 early_net;
	u64 clash_stack;
	u64 clash_skb;
	u64 clash_ct;
	u64 clash_hash; /* struct nf_conntrack_tuple_hash * of the winner */
	u64 delete_stack;
	u64 delete_ct;
	u64 here; /* see stack_of */
	struct ct_info loser;
	struct ct_note note;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ct_run);
} ct_runs SEC(".maps");

static __always_inline struct ct_run *get_ct_run(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&ct_runs, &zero);
}

/*
 * Where a fentry or fexit program's context lies. The verifier lets nobody
 * calculate with a context; a number that comes out of a map is one.
 */
static __always_inline u64 stack_of(u64 *ctx)
{
	struct ct_run *r = get_ct_run();

	if (!r)
		return 0;
	*(volatile u64 *)&r->here = (u64)ctx;
	return *(volatile u64 *)&r->here;
}

/* Whether a call that began at `from` is the one that led down to `stack`. */
static __always_inline bool below(u64 stack, u64 from)
{
	return from && stack <= from + 256 && from - stack + 256 < ALLOC_DEPTH;
}

/* int nf_ct_resolve_clash(skb, h, reply_hash): h is who was there first. */
static __always_inline void clash_entry(u64 stack, u64 skb_address, u64 hash)
{
	struct ct_run *r = get_ct_run();
	struct sk_buff *skb = (void *)skb_address;

	if (!r)
		return;
	r->clash_stack = stack;
	r->clash_skb = skb_address;
	r->clash_hash = hash;
	r->clash_ct = READ(skb, _nfct) & ~NFCT_INFOMASK;
	__builtin_memset(&r->loser, 0, sizeof(r->loser));
	read_nfct(&r->loser, READ(skb, _nfct));
}

__noinline int step_clash_resolved(u32 unused)
{
	struct ct_run *r = get_ct_run();
	struct scratch *s;
	u32 level = 0;

	if (!r)
		return 0;
	s = begin_failure(&level, CT_SAW_CLASH_RESOLVED);
	if (!s)
		return 0;
	read_skb_slow(&s->event, r->clash_skb);
	s->event.ct = r->loser;
	s->event.failure.other = r->note.other;
	set_net(&s->event, (void *)r->note.net);
	finish_failure(level, s);
	return 0;
}

/* Interrupts of softirqs are off in there: nobody else ran on this CPU. */
static __always_inline void clash_exit(u64 stack, s32 verdict)
{
	struct ct_run *r = get_ct_run();
	struct nf_conn *winner;

	if (!r || !below(stack, r->clash_stack))
		return;
	winner = hash_to_conn(r->clash_hash);
	__builtin_memset(&r->note, 0, sizeof(r->note));
	read_ct_entry(&r->note.other, winner);
	r->note.net = (u64)READ(winner, ct_net.net);
	r->note.ct = r->clash_ct;
	r->note.saw = CT_SAW_CLASH;
	r->note.time = bpf_ktime_get_ns();
	if (verdict == NF_DROP)
		leave_ct_note(r->clash_skb, &r->note);
	else if (show_resolved)
		step_clash_resolved(0);
	r->clash_stack = 0;
}

/* struct nf_conn *__nf_conntrack_alloc(net, zone, original, reply, gfp, hash) */
static __always_inline void alloc_entry(u64 stack, u64 tuple)
{
	struct ct_run *r = get_ct_run();

	if (!r)
		return;
	r->alloc_stack = stack;
	r->alloc_tuple = tuple;
}

/* int early_drop(net, hash) */
static __always_inline void early_entry(u64 stack, u64 net)
{
	struct ct_run *r = get_ct_run();

	if (!r)
		return;
	r->early_stack = stack;
	r->early_net = net;
}

static __always_inline void early_exit(u64 stack, bool evicted)
{
	struct ct_run *r = get_ct_run();
	u64 key = stack_number(stack);

	if (!r || !below(stack, r->early_stack))
		return;
	if (!evicted) {
		__builtin_memset(&r->note, 0, sizeof(r->note));
		r->note.net = r->early_net;
		r->note.stack = stack;
		r->note.saw = CT_SAW_FULL;
		r->note.time = bpf_ktime_get_ns();
		leave_ct_note(key, &r->note);
	}
	r->early_stack = 0;
}

/* bool nf_ct_delete(ct, portid, report): of interest only under early_drop. */
static __always_inline void delete_entry(u64 stack, u64 address)
{
	struct ct_run *r = get_ct_run();
	struct nf_conn *ct = (void *)address;
	s32 left;

	if (!r || !below(stack, r->early_stack))
		return;
	r->delete_stack = 0;
	/* It also clears away what had run out: nobody misses that. */
	left = READ(ct, timeout) - (u32)bpf_jiffies64();
	if (left <= 0)
		return;
	r->delete_stack = stack;
	r->delete_ct = address;
}

__noinline int step_evicted(u64 stack)
{
	struct ct_run *r = get_ct_run();
	struct scratch *s;
	u32 level = 0;

	if (!r)
		return 0;
	s = begin_failure(&level, CT_SAW_EVICTED);
	if (!s)
		return 0;
	read_ct_entry(&s->event.failure.other, (void *)r->delete_ct);
	if (below(stack, r->alloc_stack)) {
		s->event.ct.present = CT_ENTRY;
		s->event.ct.ctinfo = 2; /* IP_CT_NEW */
		bpf_probe_read_kernel(&s->event.ct.original, sizeof(s->event.ct.original),
				      (void *)r->alloc_tuple);
	}
	use_tuple(&s->event);
	set_net(&s->event, (void *)r->early_net);
	finish_failure(level, s);
	return 0;
}

static __always_inline void delete_exit(u64 stack, bool deleted)
{
	struct ct_run *r = get_ct_run();

	if (!r || !below(stack, r->delete_stack))
		return;
	if (deleted)
		step_evicted(stack);
	r->delete_stack = 0;
}

/*
 * The log functions' own words: %pV holds a format of its own, %s the whole text.
 * next is the argument behind the format.
 */
static __always_inline void read_reason(char *out, u64 fmt, u64 next)
{
	struct va_format *va = (void *)next;

	bpf_probe_read_kernel_str(out, CT_REASON_BYTES, (void *)fmt);
	if (out[0] != '%')
		return;
	if (out[1] == 'p' && out[2] == 'V')
		bpf_probe_read_kernel_str(out, CT_REASON_BYTES, READ(va, fmt));
	else if (out[1] == 's')
		bpf_probe_read_kernel_str(out, CT_REASON_BYTES, (void *)next);
}

/* void nf_ct_helper_log(skb, ct, fmt, ...): a helper is about to drop the packet. */
static __always_inline void helper_refuses(u64 skb_address, u64 ct, u64 fmt, u64 next)
{
	struct ct_run *r = get_ct_run();

	if (!r)
		return;
	__builtin_memset(&r->note, 0, sizeof(r->note));
	read_reason(r->note.reason, fmt, next);
	r->note.saw = CT_SAW_REFUSED;
	r->note.ct = ct;
	r->note.time = bpf_ktime_get_ns();
	leave_ct_note(skb_address, &r->note);
}

/*
 * In conntrack_only a complaint is a record; else it waits for the drop that may
 * follow. state is 0 on kernels that pass none (before 5.14).
 */
static __always_inline void complain(u64 skb_address, u64 state, u64 net, u64 fmt, u64 next)
{
	struct sk_buff *skb = (void *)skb_address;
	struct ct_run *r = get_ct_run();
	struct scratch *s;
	u32 level = 0;

	if (!r)
		return;
	__builtin_memset(&r->note, 0, sizeof(r->note));
	read_reason(r->note.reason, fmt, next);
	r->note.saw = CT_SAW_INVALID;
	r->note.packet = packet_words(skb);
	r->note.time = bpf_ktime_get_ns();
	leave_ct_note(skb_address, &r->note);
	if (!conntrack_only)
		return;
	s = begin_failure(&level, CT_SAW_INVALID);
	if (!s)
		return;
	read_skb_slow(&s->event, skb_address);
	__builtin_memcpy(s->event.failure.reason, r->note.reason, CT_REASON_BYTES);
	read_nfct(&s->event.ct, READ(skb, _nfct));
	set_net(&s->event, (void *)net);
	if (state)
		use_state(&s->event, state);
	finish_failure(level, s);
}

#endif
