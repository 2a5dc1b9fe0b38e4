/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter_step.h - the step that holds a record against the flags.
 */
#ifndef DROPTRACE_FILTER_STEP_H
#define DROPTRACE_FILTER_STEP_H

#include "filter.h"
#include "scratch.h"

const volatile struct filter_config filter = {};

__noinline int step_filter(u32 level)
{
	struct scratch *s = get_scratch(level);

	return s && filter_match(&s->event, &s->filter_work, &filter);
}

#endif
