/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * xt_counter.h - the rule of iptables-legacy, by its own counter.
 *
 * A plain DROP calls no function that could be probed, but ipt_do_table counts
 * the packet in the rule's per-CPU counter just before. Entries that end in
 * DROP or REJECT, policies included, count only packets about to die: compared
 * with their last values when the packet does die, the one that moved is the
 * rule. Go says which entries to watch (tracer.Track).
 */
#ifndef DROPTRACE_XT_COUNTER_H
#define DROPTRACE_XT_COUNTER_H

#include "netfilter_hooks.h"
#include "xt_print.h"

#define XT_MAX_WATCHED 16384	   /* entries of one table that one drop may read */
#define XT_MAX_WATCHED_UNROLLED 256 /* without bpf_loop */
#define XT_INFO_SIZE 0		   /* struct xt_table_info, 5.10 to 7.2 */
#define XT_INFO_NUMBER 4
#define XT_INFO_ENTRIES 64

struct xt_watched {
	u64 counter; /* per-CPU pointer, or the address itself with one CPU */
	u32 offset;  /* in the blob */
	u32 hooks;   /* bit per hook from which it is reached */
	u64 print;   /* of the entry: see entry_print */
};

struct xt_last {
	u64 packets;
	u64 bytes;
	u64 pending; /* moved once already and belongs to nobody yet */
};

struct xt_tracked {
	u64 private; /* struct xt_table_info when tracked */
	u32 first;   /* in xt_watch */
	u32 number;
	u32 size; /* of the blob, and of its entries: must fit private's */
	u32 entries;
	u32 ready;
	u32 af;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XT_MAX_TABLES);
	__type(key, u64); /* struct xt_table * */
	__type(value, struct xt_tracked);
} xt_tables SEC(".maps");

/* Both resized by Go; xt_values holds one block of them per possible CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct xt_watched);
} xt_watch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct xt_last);
} xt_values SEC(".maps");

const volatile u32 xt_capacity = 1; /* max_entries of xt_watch */

struct cpu_anchor {
	u64 self;
	u64 map;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_anchor);
} cpu_anchors SEC(".maps");

/*
 * This CPU's per-CPU offset: where a per-CPU array's element lies minus its
 * per-CPU pointer. The pointers go through memory because the verifier forbids
 * arithmetic on a map's own. 0: it is not known.
 */
static __always_inline u64 this_cpu_offset(void)
{
	u32 zero = 0;
	volatile struct cpu_anchor *a = bpf_map_lookup_elem(&cpu_anchors, &zero);
	struct bpf_array *array;
	u64 base = 0;

	if (!a)
		return 0;
	a->self = (u64)a;
	a->map = (u64)&cpu_anchors;
	array = (void *)a->map;
	base = (u64)READ(array, pptrs[0]);
	return base ? a->self - base : 0;
}

/*
 * Lies in map memory, never on the stack: there the verifier would follow every
 * combination of moved and fits through the loop.
 */
struct xt_walk {
	u64 cpu_offset;
	u32 first;	/* of the table in xt_watch */
	u32 last_first; /* of this CPU's block in xt_values, plus first */
	u32 hook_bit;
	u32 length;
	u32 moved;
	u32 fits;  /* moved by one packet of our length */
	u32 which; /* the one that fits, else any that moved */
	u32 pad;
};

static __always_inline bool read_counter(u64 *now, u64 at)
{
	if (!direct_reads)
		return !bpf_probe_read_kernel(now, 2 * sizeof(u64), (void *)at);
	now[0] = READ_AT(u64, at);
	now[1] = READ_AT(u64, at + sizeof(u64));
	return true;
}

static __always_inline long compare_counter(u32 i, struct xt_walk *w)
{
	u32 index = w->first + i, last_index = w->last_first + i;
	struct xt_watched *watched = bpf_map_lookup_elem(&xt_watch, &index);
	struct xt_last *last = bpf_map_lookup_elem(&xt_values, &last_index);
	u64 now[2]; /* struct xt_counters {pcnt, bcnt} */

	if (!watched || !last)
		return 1;
	if (!(watched->hooks & w->hook_bit))
		return 0;
	if (!read_counter(now, watched->counter + w->cpu_offset) || now[0] == last->packets)
		return 0;
	/* A direct read that fails gives 0, to which no counter goes back. */
	if (direct_reads && !now[0])
		return 0;
	w->moved++;
	if (now[0] - last->packets == 1 && now[1] - last->bytes == w->length) {
		w->fits++;
		w->which = i;
	} else if (!last->pending) {
		/* Perhaps an outer packet whose REJECT is under way: its turn comes. */
		last->pending = 1;
		return 0;
	}
	last->packets = now[0];
	last->bytes = now[1];
	last->pending = 0;
	return 0;
}

/* bpf_loop takes a context on the stack only: it holds the pointer. */
static long compare_step(u32 i, void *data)
{
	struct xt_walk **w = data;

	return compare_counter(i, *w);
}

/* compare_counter of a level's walk; a global function, so that the verifier walks it once. */
int step_compare_counter(u32 level, u32 i);

static __always_inline void compare_counters(u32 level, struct xt_walk *w, u32 number, bool loops)
{
	if (loops) {
		bpf_loop(number < XT_MAX_WATCHED ? number : XT_MAX_WATCHED, compare_step, &w, 0);
		return;
	}
	for (u32 i = 0; i < XT_MAX_WATCHED_UNROLLED; i++) {
		if (i >= number)
			break;
		step_compare_counter(level, i);
	}
}

static __always_inline void start_walk(struct xt_walk *w, const struct xt_tracked *t, u32 cpus)
{
	__builtin_memset(w, 0, sizeof(*w));
	w->first = t->first;
	w->last_first = bpf_get_smp_processor_id() * xt_capacity + t->first;
	/* With one possible CPU the counter lies in the entry itself. */
	w->cpu_offset = cpus > 1 ? this_cpu_offset() : 0;
}

static __always_inline void name_xt_table(struct rule_info *r, const struct layout *l, u64 table)
{
	if (!l->xt_name) /* the layout is not known */
		return;
	bpf_probe_read_kernel(&r->family, sizeof(r->family), (void *)(table + l->xt_af));
	bpf_probe_read_kernel_str(r->table, sizeof(r->table), (void *)(table + l->xt_name));
}

static __always_inline void name_entry(struct rule_info *r, u64 private, u32 which, u32 first)
{
	u32 index = first + which;
	struct xt_watched *watched = bpf_map_lookup_elem(&xt_watch, &index);

	if (!watched)
		return;
	r->kind = RULE_XT;
	r->address = private;
	r->offset = watched->offset;
	r->rule_handle = watched->print;
	bpf_probe_read_kernel(r->entry, sizeof(r->entry),
			      (void *)(private + XT_INFO_ENTRIES + watched->offset));
}

/*
 * Whether the entry that was watched still stands there and still counts there. A
 * table's memory is given to a later one, its rules' counters to other rules.
 */
static __always_inline bool same_entry(const struct xt_tracked *t, u32 which, u32 cpus)
{
	u32 index = t->first + which;
	struct xt_watched *watched = bpf_map_lookup_elem(&xt_watch, &index);
	bool v6 = t->af == NFPROTO_IPV6;
	u64 entry;

	if (!watched)
		return false;
	entry = t->private + XT_INFO_ENTRIES + watched->offset;
	if (cpus > 1 && watched->counter !=
			read_u64(entry + (v6 ? IP6T_ENTRY_COUNTERS : IPT_ENTRY_COUNTERS)))
		return false;
	return watched->print == entry_print(entry, v6);
}

/* Compares one table's counters; returns how many entries moved. */
static __always_inline u32 find_entry(u32 level, struct event *e, const struct config *c,
				      struct xt_walk *w, u64 table, bool loops)
{
	struct xt_tracked *t = bpf_map_lookup_elem(&xt_tables, &table);
	u64 private = 0;

	bpf_probe_read_kernel(&private, sizeof(private), (void *)(table + c->layout.xt_private));
	if (!t || !t->ready) {
		e->flags |= FLAG_XT_UNTRACKED;
		return 0;
	}
	if (private != t->private) {
		e->flags |= FLAG_XT_STALE;
		return 0;
	}
	e->flags |= FLAG_XT_TRACKED;
	if (t->number > (loops ? XT_MAX_WATCHED : XT_MAX_WATCHED_UNROLLED))
		e->flags |= FLAG_XT_CAPPED;
	start_walk(w, t, c->possible_cpus);
	if (c->possible_cpus > 1 && !w->cpu_offset) {
		e->flags |= FLAG_XT_UNTRACKED;
		return 0;
	}
	w->hook_bit = 1 << (e->hook & 7);
	w->length = e->length;
	compare_counters(level, w, t->number, loops);
	if (t->number && !same_entry(t, w->which, c->possible_cpus)) {
		e->flags |= FLAG_XT_STALE;
		return 0;
	}
	if (w->fits != 1)
		return w->moved;
	name_xt_table(&e->rule, &c->layout, table);
	name_entry(&e->rule, private, w->which, t->first);
	e->rule.method = w->moved == 1 ? METHOD_XT_COUNTER : METHOD_XT_COUNTER_MANY;
	return w->moved;
}

#endif
