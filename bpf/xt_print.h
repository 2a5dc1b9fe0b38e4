/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * xt_print.h - a number by which an entry of an iptables-legacy table is known
 * again: its address says nothing once the table was replaced.
 */
#ifndef DROPTRACE_XT_PRINT_H
#define DROPTRACE_XT_PRINT_H

#include "read.h"

#define IPT_ENTRY_COUNTERS 96
#define IP6T_ENTRY_COUNTERS 152
#define IPT_ENTRY_NEXT 90 /* u16 next_offset: where the entry ends */
#define IP6T_ENTRY_NEXT 142
#define XT_PRINT_WORDS 64 /* of an entry that go into its print */
#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

struct xt_print {
	u64 value;
	u64 words[XT_PRINT_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct xt_print);
} xt_prints SEC(".maps");

/*
 * Prints an entry: a number for its bytes as the kernel has them, pointers to
 * matches, targets and their memory included; its counters left out. A global
 * function, so that the verifier walks the loop once and not for each entry.
 */
__noinline int step_print_entry(u64 entry, u32 v6)
{
	u32 zero = 0, counters = v6 ? IP6T_ENTRY_COUNTERS / 8 : IPT_ENTRY_COUNTERS / 8;
	struct xt_print *p = bpf_map_lookup_elem(&xt_prints, &zero);
	u64 value = FNV_BASIS;
	u16 next = 0;
	u32 length;

	if (!p)
		return 0;
	p->value = 0;
	bpf_probe_read_kernel(&next, sizeof(next),
			      (void *)(entry + (v6 ? IP6T_ENTRY_NEXT : IPT_ENTRY_NEXT)));
	length = next;
	if (length > sizeof(p->words))
		length = sizeof(p->words);
	if (bpf_probe_read_kernel(p->words, length, (void *)entry))
		return 0;
	for (u32 i = 0; i < XT_PRINT_WORDS; i++) {
		if (i >= length / 8)
			break;
		if (i == counters || i == counters + 1)
			continue;
		value = (value ^ p->words[i]) * FNV_PRIME;
		value ^= value >> 32;
	}
	p->value = value;
	return 0;
}

/* A run that a softirq interrupted may read the other's: then entries differ. */
static __always_inline u64 entry_print(u64 entry, bool v6)
{
	u32 zero = 0;
	struct xt_print *p;

	step_print_entry(entry, v6);
	p = bpf_map_lookup_elem(&xt_prints, &zero);
	return p ? p->value : 0;
}

#endif
