/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * packet_pages.h - the part of a packet that lies in pages, which 6.12 and later let a
 * tracepoint read.
 *
 * The kernel function wants the tracepoint's own pointer, so that this is no
 * step: it goes into the program itself.
 */
#ifndef DROPTRACE_PACKET_PAGES_H
#define DROPTRACE_PACKET_PAGES_H

#include "filter_expression_packet.h"

/* uapi linux/bpf.h */
struct bpf_dynptr {
	u64 opaque[2];
};

/* Only its name counts, and that it is no mere declaration. */
struct __sk_buff {
	u32 len;
};

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr) __ksym __weak;

/* Reads from skb->data on; 0 where it worked. */
static __always_inline long read_data(u64 *ctx, u8 *to, u32 length)
{
	struct bpf_dynptr data;

	if (bpf_dynptr_from_skb((void *)ctx[0], 0, &data))
		return -1;
	return bpf_dynptr_read(to, length, &data, 0, 0);
}

/* Behind the linear part, which is there already. */
static __always_inline void add_pages(u32 level, struct scratch *s, u64 *ctx)
{
	struct record *r = get_record(level);
	u32 at = s->before_data, length = s->length;

	if (!r || !(s->event.flags & FLAG_NONLINEAR) || at >= snaplen)
		return;
	if (length > snaplen - at)
		length = snaplen - at;
	/* Bounds on the very registers that are added and passed. */
	asm volatile("" : "+r"(at), "+r"(length));
	if (at > MAX_BEFORE_DATA || length > snaplen)
		return;
	if (!read_data(ctx, (u8 *)r + bytes_at() + at, length))
		s->event.bytes.captured = at + length;
}

/* Returns whether the expression has more to look at than before. */
static __always_inline bool add_frame_pages(u32 level, struct scratch *s, u64 *ctx)
{
	struct expression_frame *f = get_frame(level);
	u32 at = s->frame_data, length = s->length;

	if (!f || !(s->event.flags & FLAG_NONLINEAR) || at >= EXPRESSION_NETWORK + expression_depth)
		return false;
	if (length > EXPRESSION_NETWORK + expression_depth - at)
		length = EXPRESSION_NETWORK + expression_depth - at;
	asm volatile("" : "+r"(at), "+r"(length));
	if (at > MAX_BEFORE_DATA || length > EXPRESSION_NETWORK + expression_depth)
		return false;
	if (read_data(ctx, f->bytes + at, length))
		return false;
	f->end = at + length;
	return true;
}

#endif
