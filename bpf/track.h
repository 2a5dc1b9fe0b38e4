/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * track.h - what Go needs to have a legacy table's counters followed: the table's
 * address and the counters' values from before the first drop.
 */
#ifndef DROPTRACE_TRACK_H
#define DROPTRACE_TRACK_H

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
	u64 entry, at;

	if (!w)
		return;
	entry = t->private + XT_INFO_ENTRIES + w->offset;
	at = entry + (t->af == NFPROTO_IPV6 ? IP6T_ENTRY_COUNTERS : IPT_ENTRY_COUNTERS);
	w->counter = cpus > 1 ? read_u64(at) : at;
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
		learn_counter(t, from + i, c->possible_cpus);
		compare_counter(from + i, w);
	}
	return 0;
}

#endif
