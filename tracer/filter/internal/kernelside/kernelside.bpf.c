//go:build ignore

// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * kernelside.bpf.c - bpf/filter.h and bpf/filter_expression.h alone, to be run on events
 * and frames of a test's own.
 */
#include "filter.h"
#include "filter_expression.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* As droptrace has it: the verifier knows each value and drops what is unused. */
const volatile struct filter_config filter = {};

struct input {
	struct event event;
	struct filter_work work;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct input);
} inputs SEC(".maps");

/* The verifier knows nothing of this one: it has to walk everything. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct filter_config);
} configs SEC(".maps");

SEC("raw_tp/droptrace_filter_map")
int match_map(void *ctx)
{
	u32 zero = 0;
	struct input *in = bpf_map_lookup_elem(&inputs, &zero);
	struct filter_config *f = bpf_map_lookup_elem(&configs, &zero);

	return in && f && filter_match(&in->event, &in->work, f);
}

SEC("raw_tp/droptrace_filter_constant")
int match_constant(void *ctx)
{
	u32 zero = 0;
	struct input *in = bpf_map_lookup_elem(&inputs, &zero);

	return in && filter_match(&in->event, &in->work, &filter);
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct expression_frame);
} frames SEC(".maps");

SEC("raw_tp/droptrace_expression")
int run_expression(void *ctx)
{
	u32 zero = 0;
	struct expression_frame *f = bpf_map_lookup_elem(&frames, &zero);

	return f ? expression_value(f) : 0;
}
