/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter_expression.h - a tcpdump expression, run on the packet before a record is sent.
 *
 * tcpdump compiles it for Ethernet. Go (tracer/filter/expression) turns that into
 * the body of expression() and says how far into a frame it may look. A packet
 * that has no Ethernet header gets one made up, with no hardware addresses.
 */
#ifndef DROPTRACE_FILTER_EXPRESSION_H
#define DROPTRACE_FILTER_EXPRESSION_H

#include "kernel.h"

#define EXPRESSION_OUTSIDE (-1) /* it looked for bytes behind the end */
#define EXPRESSION_TYPE 18	/* where the EtherType lies in bytes[] */
#define EXPRESSION_NETWORK 20
#define EXPRESSION_TAG 4
#define EXPRESSION_ADDRESSES 12

/* How many bytes of a frame it may look at; 0: there is no expression. */
const volatile u32 expression_depth = 0;
/* It asks for VLAN tags: one that lies beside the packet is put where it was. */
const volatile bool expression_tags = 0;

/* A frame as a capture would have it; it begins so that its EtherType lies at 18. */
struct expression_frame {
	u32 start;  /* in bytes[] */
	u32 end;    /* no byte from here on was read */
	u32 length; /* of the whole frame */
	u8 bytes[EXPRESSION_NETWORK]; /* Go makes it as long as the expression needs */
};

/*
 * The value that the expression returns: 0 where it does not match. The placeholder
 * hides what it returns, or clang would call it no more.
 */
static __noinline int expression(const u8 *start, const u8 *end, u32 length)
{
	int value = 1;

	asm volatile("" : "+r"(value) : "r"(start), "r"(end), "r"(length));
	return value;
}

static __always_inline int expression_value(const struct expression_frame *f)
{
	u32 start = f->start;
	u32 end = f->end;

	/* No more than the map's value holds, which the verifier must see. */
	asm volatile("" : "+r"(start), "+r"(end));
	if (start > EXPRESSION_TYPE || end > EXPRESSION_NETWORK + expression_depth)
		return EXPRESSION_OUTSIDE;
	return expression(f->bytes + start, f->bytes + end, f->length);
}

#endif
