/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter_expression_packet.h - the frame that an expression looks at, out of an skb.
 */
#ifndef DROPTRACE_FILTER_EXPRESSION_PACKET_H
#define DROPTRACE_FILTER_EXPRESSION_PACKET_H

#include "filter_expression.h"
#include "packet_bytes.h"

#define ETHERNET_LENGTH 14
#define ETHERNET_LONGEST 22 /* with two tags; what is longer was left by a tunnel */
#define ARPHRD_ETHER 1
#define ARPHRD_LOOPBACK 772

/* As many as records, for the same reason. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct expression_frame);
} frames SEC(".maps");

static __always_inline struct expression_frame *get_frame(u32 level)
{
	u32 slot = bpf_get_smp_processor_id() * LEVELS + level;

	return bpf_map_lookup_elem(&frames, &slot);
}

/* A device is forgotten before the header is, as by sockets' backlogs. */
static __always_inline bool has_ethernet(const struct packet_bytes *b)
{
	if (b->device_type == NO_DEVICE_TYPE)
		return b->link_length == ETHERNET_LENGTH;
	return b->link_length >= ETHERNET_LENGTH && b->link_length <= ETHERNET_LONGEST &&
	       (b->device_type == ARPHRD_ETHER || b->device_type == ARPHRD_LOOPBACK);
}

static __always_inline void put_be16(u8 *b, u16 value)
{
	b[0] = value >> 8;
	b[1] = value;
}

/* Reads what lies from source on to f->bytes + at, which is a constant. */
static __always_inline void read_frame(struct expression_frame *f, u32 at, u64 source, u32 length)
{
	u32 room = EXPRESSION_NETWORK + expression_depth - at;

	if (length > room)
		length = room;
	/* The bound has to be on the very register that the helper gets. */
	asm volatile("" : "+r"(length));
	if (length > EXPRESSION_NETWORK + expression_depth - at)
		return;
	if (bpf_probe_read_kernel(f->bytes + at, length, (void *)source))
		length = 0;
	f->end = at + length;
}

/* EXPRESSION_OUTSIDE only where bytes of the packet could not be read. */
static __always_inline int judge(const struct expression_frame *f)
{
	int value = expression_value(f);

	if (value == EXPRESSION_OUTSIDE && f->end - f->start >= f->length)
		return 0;
	return value;
}

/* Once more, when more of the packet was read. */
__noinline int step_judge(u32 level)
{
	struct expression_frame *f = get_frame(level);

	return f ? judge(f) : EXPRESSION_OUTSIDE;
}

__noinline int step_expression(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct expression_frame *f = get_frame(level);
	struct packet_bytes *b;
	bool tag;

	if (!expression_depth)
		return 1;
	if (!s || !f)
		return EXPRESSION_OUTSIDE;
	b = &s->event.bytes;
	tag = expression_tags && s->event.flags & FLAG_VLAN;
	f->start = EXPRESSION_TYPE - EXPRESSION_ADDRESSES;
	f->length = b->original;
	if (tag) {
		f->start -= EXPRESSION_TAG;
		f->length += EXPRESSION_TAG;
		put_be16(f->bytes + EXPRESSION_TYPE - EXPRESSION_TAG, b->vlan_proto);
		put_be16(f->bytes + EXPRESSION_TYPE - 2, s->event.vlan_tci);
	}
	if (has_ethernet(b)) {
		u8 *addresses = f->bytes + EXPRESSION_TYPE - EXPRESSION_ADDRESSES;

		if (tag)
			addresses -= EXPRESSION_TAG;
		s->frame_data = EXPRESSION_TYPE - EXPRESSION_ADDRESSES + s->before_data;
		bpf_probe_read_kernel(addresses, EXPRESSION_ADDRESSES, (void *)s->bytes);
		read_frame(f, EXPRESSION_TYPE, s->bytes + EXPRESSION_ADDRESSES,
			   s->linear > EXPRESSION_ADDRESSES ? s->linear - EXPRESSION_ADDRESSES : 0);
	} else {
		u32 link = b->link_length;

		__builtin_memset(f->bytes, 0, EXPRESSION_TYPE - EXPRESSION_TAG);
		if (!tag)
			__builtin_memset(f->bytes + EXPRESSION_TYPE - EXPRESSION_TAG, 0, EXPRESSION_TAG);
		s->frame_data = EXPRESSION_NETWORK - link + s->before_data;
		f->length += ETHERNET_LENGTH - link;
		put_be16(f->bytes + EXPRESSION_TYPE, s->event.protocol);
		read_frame(f, EXPRESSION_NETWORK, s->bytes + link,
			   s->linear > link ? s->linear - link : 0);
	}
	return judge(f);
}

#endif
