/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * calibrate.h - packets of our own in the calibration namespace.
 */
#ifndef DROPTRACE_CALIBRATE_H
#define DROPTRACE_CALIBRATE_H

#include "attribute.h"

static __always_inline bool in_calibration(const struct event *e)
{
	u32 zero = 0;
	u32 *netns = bpf_map_lookup_elem(&calibration_netns, &zero);

	return netns && *netns && *netns == e->netns;
}

/* What a word of the frame points to. Global, so that the verifier walks it once. */
__noinline int step_copy_memory(u32 i)
{
	u32 zero = 0;
	struct calibration *out = bpf_map_lookup_elem(&calibrations, &zero);
	u64 word;

	if (!out || i >= WINDOW_WORDS)
		return 0;
	word = out->words[i];
	bpf_probe_read_kernel(out->memory[i], CALIBRATION_BYTES,
			      is_kernel_address(word) ? (void *)word : NULL);
	return 0;
}

/* The frame goes to Go whole. */
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
		/* Not read_entry: its two ways make a loop that 5.10 to 6.1 take for endless. */
		bpf_probe_read_kernel(&out->hooks[i], sizeof(out->hooks[i]),
				      (void *)entry_address(out->entries, i));
	bpf_probe_read_kernel(out->words, sizeof(out->words), s->window.words);
	for (u32 i = 0; i < WINDOW_WORDS; i++)
		step_copy_memory(i);
	bpf_ringbuf_output(&calibration_records, out, sizeof(*out), 0);
	return 0;
}

#endif
