/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * xt_fresh.h - the rule of an iptables-legacy table that nobody watches yet: one
 * that is new, or has just replaced another.
 *
 * A blob's counters begin at zero. The entry that dropped this packet counted it
 * on this CPU, so that where no other entry that drops has counted any, it is the
 * one. The blob is walked as the kernel's ipt_do_table does.
 */
#ifndef DROPTRACE_XT_FRESH_H
#define DROPTRACE_XT_FRESH_H

#include "scratch.h"

#define FRESH_MAX_ENTRIES 16384 /* of a blob, read once a drop */
#define FRESH_PAUSE 4		/* times as long as the last walk took */
#define IPT_ENTRY_TARGET 88	/* u16 target_offset, u16 next_offset, u32 comefrom */
#define IP6T_ENTRY_TARGET 140
#define XT_ENTRY_TARGET 8	/* struct xt_entry_target: struct xt_target * */
#define XT_TARGET_NAME 16	/* struct xt_target {list, name, ...} */
#define XT_STANDARD_VERDICT 32	/* struct xt_standard_target {target, verdict} */
#define XT_VERDICT_DROP (-1)	/* -NF_DROP - 1 */

struct fresh_entry {
	u16 target;
	u16 next;
	u32 comefrom; /* a bit a hook from which it is reached */
};

struct fresh_walk {
	u64 entries;
	u64 cpu_offset;
	u32 size;
	u32 offset;
	u32 hook_bit;
	u32 head;     /* of fresh_entry in an entry */
	u32 counters; /* of xt_counters in it */
	u32 counted;  /* entries that have */
	u32 which;
	u32 done;
	u64 packets;
	u64 bytes;
};

/* What the last walk on this CPU saw of the entry that it found. */
struct fresh_seen {
	u64 private;
	u64 packets;
	u64 bytes;
	u64 not_before; /* ktime, ns */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEVELS);
	__type(key, u32);
	__type(value, struct fresh_walk);
} fresh_walks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct fresh_seen);
} fresh_seens SEC(".maps");

/* A standard target's name is "" in the kernel. */
static __always_inline bool target_drops(u64 target)
{
	char name[8] = {};
	s32 verdict = 0;

	bpf_probe_read_kernel(name, sizeof(name),
			      (void *)(read_u64(target + XT_ENTRY_TARGET) + XT_TARGET_NAME));
	if (!name[0]) {
		bpf_probe_read_kernel(&verdict, sizeof(verdict),
				      (void *)(target + XT_STANDARD_VERDICT));
		return verdict == XT_VERDICT_DROP;
	}
	return name[0] == 'R' && name[1] == 'E' && name[2] == 'J' && name[3] == 'E' &&
	       name[4] == 'C' && name[5] == 'T' && !name[6];
}

static __always_inline long walk_entry(struct fresh_walk *w)
{
	u64 at = w->entries + w->offset;
	struct fresh_entry entry = {};
	u64 counters[2] = {}; /* struct xt_counters {pcnt, bcnt} */
	u64 counter = at + w->counters;

	bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(at + w->head));
	if (!entry.next || w->offset >= w->size)
		return 1;
	if (entry.comefrom & w->hook_bit && target_drops(at + entry.target)) {
		if (w->cpu_offset)
			counter = read_u64(counter) + w->cpu_offset;
		bpf_probe_read_kernel(counters, sizeof(counters), (void *)counter);
		if (counters[0]) {
			w->counted++;
			w->which = w->offset;
			w->packets = counters[0];
			w->bytes = counters[1];
		}
	}
	w->offset += entry.next;
	w->done = w->offset == w->size;
	return w->done;
}

/* bpf_loop takes a context on the stack only: it holds the pointer. */
static long walk_step(u32 i, void *data)
{
	struct fresh_walk **w = data;

	return walk_entry(*w);
}

static __always_inline void start_fresh_walk(struct fresh_walk *w, const struct event *e,
					     u64 private, u32 cpus)
{
	bool v6 = e->pf == NFPROTO_IPV6;

	__builtin_memset(w, 0, sizeof(*w));
	w->entries = private + XT_INFO_ENTRIES;
	w->size = (u32)read_u64(private + XT_INFO_SIZE);
	w->hook_bit = 1 << (e->hook & 7);
	w->head = v6 ? IP6T_ENTRY_TARGET : IPT_ENTRY_TARGET;
	w->counters = v6 ? IP6T_ENTRY_COUNTERS : IPT_ENTRY_COUNTERS;
	w->cpu_offset = cpus > 1 ? this_cpu_offset() : 0;
}

/* Whether this packet is all that the entry counted since the last walk. */
static __always_inline bool counted_this(struct fresh_seen *seen, const struct fresh_walk *w,
					 u64 private, u32 length)
{
	u64 packets = w->packets, bytes = w->bytes;

	if (seen->private == private) {
		packets -= seen->packets;
		bytes -= seen->bytes;
	}
	seen->private = private;
	seen->packets = w->packets;
	seen->bytes = w->bytes;
	return packets == 1 && bytes == length;
}

/*
 * Softirqs alone keep a packet on the CPU that counted it until it is freed: not
 * what the machine sends.
 */
static __always_inline bool stays_on_cpu(const struct event *e)
{
	return e->hook <= NF_INET_FORWARD;
}

__noinline int step_fresh_table(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct fresh_walk *w = bpf_map_lookup_elem(&fresh_walks, &level);
	const struct config *c = get_config();
	u32 zero = 0;
	struct fresh_seen *seen = bpf_map_lookup_elem(&fresh_seens, &zero);
	u64 start = bpf_ktime_get_ns(), private;

	if (!s || !w || !c || !seen || start < seen->not_before || !stays_on_cpu(&s->event))
		return 0;
	if (!c->layout.xt_private) /* not known */
		return 0;
	private = read_u64(s->scan.xt_table[0] + c->layout.xt_private);
	start_fresh_walk(w, &s->event, private, c->possible_cpus);
	if (c->possible_cpus > 1 && !w->cpu_offset)
		return 0;
	bpf_loop(FRESH_MAX_ENTRIES, walk_step, &w, 0);
	seen->not_before = start + (FRESH_PAUSE + 1) * (bpf_ktime_get_ns() - start);
	if (!w->done || w->counted != 1 || !counted_this(seen, w, private, s->event.length))
		return 0;
	name_xt_table(&s->event.rule, &c->layout, s->scan.xt_table[0]);
	s->event.rule.kind = RULE_XT;
	s->event.rule.method = METHOD_XT_FRESH;
	s->event.rule.address = private;
	s->event.rule.offset = w->which;
	s->event.rule.candidates = 1;
	s->event.rule.rule_handle = entry_print(w->entries + w->which, s->event.pf == NFPROTO_IPV6);
	bpf_probe_read_kernel(s->event.rule.entry, sizeof(s->event.rule.entry),
			      (void *)(w->entries + w->which));
	return 0;
}

#endif
