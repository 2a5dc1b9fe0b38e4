/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * calibrate.h - packets of our own in the calibration namespace.
 */
#ifndef DROPTRACE_CALIBRATE_H
#define DROPTRACE_CALIBRATE_H

#include "attribute.h"

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

#endif
