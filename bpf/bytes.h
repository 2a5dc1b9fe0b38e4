/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bytes.h - the packet's own bytes behind the record, for recordings.
 *
 * Only the linear part is read: a tracepoint has no way to the pages behind it
 * before 6.12. struct packet_bytes says how much is missing.
 */
#ifndef DROPTRACE_BYTES_H
#define DROPTRACE_BYTES_H

#include "packet.h"
#include "scratch.h"

#define NO_DEVICE_TYPE 0xffff /* ARPHRD_VOID */
#define MAX_LINK_LENGTH 64    /* more than any link-layer header: mac_header is stale */
#define MAX_SNAPLEN (1 << 18) /* tcpdump's */

const volatile bool with_stack = 0;
/* --snaplen; 0: no bytes but header[]. */
const volatile u32 snaplen = 0;

/*
 * A record with bytes is put together here. Not per CPU by type, whose values
 * end at 32 KiB: Go sizes it to LEVELS for each CPU, and each to the snaplen.
 */
struct record {
	struct event event;
	u8 bytes[8];
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
	s->linear = start < tail ? tail - start : 0;
}

/* Sends the record with as many bytes as are linear, at most snaplen. */
__noinline int step_send_bytes(u32 level)
{
	struct scratch *s = get_scratch(level);
	u32 slot = bpf_get_smp_processor_id() * LEVELS + level;
	struct record *r = bpf_map_lookup_elem(&records, &slot);
	u64 front = EVENT_NO_STACK;
	u32 len;

	if (!s || !r)
		return -1;
	/* A constant, so that the verifier sees one way only. */
	if (with_stack)
		front = sizeof(r->event);
	len = s->linear;
	if (len > snaplen)
		len = snaplen;
	asm volatile("" : "+r"(len));
	if (len > snaplen)
		return -1;
	if (bpf_probe_read_kernel((u8 *)r + front, len, (void *)s->bytes))
		len = 0;
	s->event.bytes.captured = len;
	s->event.bytes.front = front;
	if (with_stack)
		bpf_probe_read_kernel(&r->event, sizeof(r->event), &s->event);
	else
		bpf_probe_read_kernel(&r->event, EVENT_NO_STACK, &s->event);
	return bpf_ringbuf_output(&events, r, front + len, 0) ? -1 : 0;
}

#endif
