/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * packet_bytes.h - the packet's own bytes behind the record, for recordings.
 *
 * Only the linear part is read here: packet_pages.h has the rest, where the kernel lets
 * a tracepoint have it. struct packet_bytes says how much is missing.
 */
#ifndef DROPTRACE_PACKET_BYTES_H
#define DROPTRACE_PACKET_BYTES_H

#include "packet.h"
#include "scratch.h"

#define NO_DEVICE_TYPE 0xffff /* ARPHRD_VOID */
#define MAX_LINK_LENGTH 64    /* more than any link-layer header: mac_header is stale */
#define MAX_BEFORE_DATA 512   /* headers that the kernel has left behind */

const volatile bool with_stack = 0;
/* --snaplen; 0: no bytes but header[]. */
const volatile u32 snaplen = 0;

/*
 * A record with bytes is put together here. Not per CPU by type, whose values
 * end at 32 KiB: Go sizes it to LEVELS for each CPU, and each to the snaplen.
 */
struct record {
	struct event event;
	u8 slack[MAX_BEFORE_DATA]; /* the verifier adds up the most that two parts may take */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct record);
} records SEC(".maps");

/* Where the packet begins and how far it goes; reads none of it. */
static __always_inline void measure_bytes(struct scratch *s, struct sk_buff *skb)
{
	struct packet_bytes *b = &s->event.bytes;
	struct net_device *dev = skb->dev;
	unsigned char *head = skb->head;
	u32 data = (u32)(skb->data - head);
	u32 tail = skb->tail;
	u32 start = data + (s16)s->event.network_offset;
	u32 mac = skb->mac_header;

	b->device_type = NO_DEVICE_TYPE;
	if (dev)
		b->device_type = dev->type;
	if (skb->data_len)
		s->event.flags |= FLAG_NONLINEAR;
	if (mac != NO_OFFSET && mac < start && start - mac <= MAX_LINK_LENGTH) {
		b->link_length = start - mac;
		start = mac;
	}
	b->original = skb->len + data - start;
	s->bytes = (u64)(head + start);
	s->before_data = data - start;
	s->length = skb->len;
	s->linear = start < tail ? tail - start : 0;
	if (s->event.flags & FLAG_HEADERLESS) {
		s->bytes = (u64)s->event.header;
		s->linear = s->event.header_len;
	}
}

/* A constant, so that the verifier sees one way only. */
static __always_inline u64 bytes_at(void)
{
	if (with_stack)
		return sizeof(struct event);
	return EVENT_NO_STACK;
}

static __always_inline struct record *get_record(u32 level)
{
	u32 slot = bpf_get_smp_processor_id() * LEVELS + level;

	return bpf_map_lookup_elem(&records, &slot);
}

/* Reads as many bytes as are linear, at most snaplen. */
__noinline int step_read_bytes(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct record *r = get_record(level);
	u32 length;

	if (!s || !r)
		return 0;
	length = s->linear;
	if (length > snaplen)
		length = snaplen;
	asm volatile("" : "+r"(length));
	if (length > snaplen)
		return 0;
	if (!bpf_probe_read_kernel((u8 *)r + bytes_at(), length, (void *)s->bytes))
		s->event.bytes.captured = length;
	return 0;
}

/* Sends the record with the bytes that were read. */
__noinline int step_send_bytes(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct record *r = get_record(level);
	u32 length;

	if (!s || !r)
		return -1;
	s->event.bytes.front = bytes_at();
	bpf_probe_read_kernel(&r->event, bytes_at(), &s->event);
	length = s->event.bytes.captured;
	asm volatile("" : "+r"(length));
	if (length > snaplen)
		return -1;
	return bpf_ringbuf_output(&events, r, bytes_at() + length, 0) ? -1 : 0;
}

#endif
