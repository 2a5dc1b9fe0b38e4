/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * xt_track.h - what Go needs to have a legacy table's counters followed: the table's
 * address and the counters' values from before the first drop.
 */
#ifndef DROPTRACE_XT_TRACK_H
#define DROPTRACE_XT_TRACK_H

#include "scratch.h"

/* Asked by Go, inside a namespace, before its table is tracked. */
struct xt_query {
	u32 pf;
	u32 hook;
	char name[32];
	u64 table; /* answer: struct xt_table * */
	u64 private;
	u32 size;
	u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct xt_query);
} xt_queries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hook_scan);
} xt_query_scan SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct xt_walk);
} xt_query_walk SEC(".maps");

static __always_inline bool same_name(const char *a, const char *b)
{
	for (int i = 0; i < 32; i++) {
		if (a[i] != b[i])
			return false;
		if (!a[i])
			return true;
	}
	return true;
}

static __always_inline void learn_counter(const struct xt_tracked *t, u32 i, u32 cpus)
{
	u32 index = t->first + i;
	struct xt_watched *w = bpf_map_lookup_elem(&xt_watch, &index);
	bool v6 = t->af == NFPROTO_IPV6;
	u64 entry, at;

	if (!w)
		return;
	entry = t->private + XT_INFO_ENTRIES + w->offset;
	at = entry + (v6 ? IP6T_ENTRY_COUNTERS : IPT_ENTRY_COUNTERS);
	w->counter = cpus > 1 ? read_u64(at) : at;
	w->print = entry_print(entry, v6);
}

/* As it is, for the values to compare with. */
static __always_inline void take_counter(u32 i, struct xt_walk *w)
{
	u32 index = w->first + i, last_index = w->last_first + i;
	struct xt_watched *watched = bpf_map_lookup_elem(&xt_watch, &index);
	struct xt_last *last = bpf_map_lookup_elem(&xt_values, &last_index);
	u64 now[2];

	if (!watched || !last || !read_counter(now, watched->counter + w->cpu_offset))
		return;
	last->packets = now[0];
	last->bytes = now[1];
	last->pending = 0;
}

/* Global, so that the verifier walks it once. */
__noinline int step_take_counter(u64 table, u32 i)
{
	struct xt_tracked *t = bpf_map_lookup_elem(&xt_tables, &table);
	const struct config *c = get_config();
	u32 zero = 0;
	struct xt_walk *w = bpf_map_lookup_elem(&xt_query_walk, &zero);

	if (!t || !c || !w)
		return 0;
	learn_counter(t, i, c->possible_cpus);
	take_counter(i, w);
	return 0;
}

static __always_inline int baseline(u64 table, u32 from, u32 to)
{
	struct xt_tracked *t = bpf_map_lookup_elem(&xt_tables, &table);
	const struct config *c = get_config();
	u32 zero = 0;
	struct xt_walk *w = bpf_map_lookup_elem(&xt_query_walk, &zero);

	if (!t || !c || !w)
		return 0;
	start_walk(w, t, c->possible_cpus);
	for (u32 i = 0; i < XT_MAX_WATCHED_UNROLLED; i++) {
		if (from + i >= to)
			break;
		step_take_counter(table, from + i);
	}
	return 0;
}

/* Finds the table of xt_queries in the namespace of the task that runs this. */
SEC("raw_tp/droptrace_xt_find")
int xt_find(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net = READ(READ(task, nsproxy), net_ns);
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

#endif
