/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter_packet.h - what a drop is compared by: its headers and conntrack tuples,
 * as tracer/packet reads them.
 */
#ifndef DROPTRACE_FILTER_PACKET_H
#define DROPTRACE_FILTER_PACKET_H

#include "filter_config.h"

/* Addresses, ports and protocol as one header or conntrack tuple has them. */
struct filter_view {
	u32 src[4]; /* network order, IPv4 in the first */
	u32 dst[4];
	u16 sport; /* host order */
	u16 dport;
	u8 family; /* 4 or 6; 0: no addresses */
	u8 has_ports;
	u8 has_protocol;
	u8 protocol;
};

/* All that knows addresses or ports of the packet. */
enum filter_source {
	FILTER_PACKET,
	FILTER_QUOTED, /* by an ICMP error */
	FILTER_OWN,    /* the tuple of the packet's direction */
	FILTER_OTHER,  /* the other one, mirrored: differs where NAT is */
	FILTER_SOURCES,
};

/*
 * Memory to work in. It has to lie in a map: what lies on the stack the verifier
 * follows value by value, and would walk the lists again for each way through
 * the headers (6.18 gives up after a million instructions).
 */
struct filter_work {
	struct filter_view view[FILTER_SOURCES];
	/* where event.header is being read */
	u32 at;
	u32 end; /* no byte from here on belongs to the packet */
	u32 quoted; /* where the header that an ICMP error quotes begins; 0: none */
	u16 ether;
	u16 pad;
};

enum filter_ether {
	FILTER_ETHER_IPV4 = 0x0800,
	FILTER_ETHER_ARP = 0x0806,
	FILTER_ETHER_VLAN = 0x8100,
	FILTER_ETHER_IPV6 = 0x86dd,
	FILTER_ETHER_SERVICE = 0x88a8,
};

/* Linux's names carry IPPROTO_, which others may define as macros. */
enum filter_protocol {
	FILTER_HOPOPTS = 0,
	FILTER_ICMP = 1,
	FILTER_TCP = 6,
	FILTER_UDP = 17,
	FILTER_DCCP = 33,
	FILTER_ROUTING = 43,
	FILTER_FRAGMENT = 44,
	FILTER_ICMPV6 = 58,
	FILTER_DSTOPTS = 60,
	FILTER_SCTP = 132,
	FILTER_UDPLITE = 136,
};

/*
 * The bytes from at on, if size of them are there, in the packet and in
 * header[]. The verifier wants the second comparison, with a constant, on the
 * very register that is added to the pointer; the barrier keeps clang from
 * deriving it from the first.
 */
static __always_inline const u8 *filter_bytes(const struct event *e, u32 at, u32 end, u32 size)
{
	if (at + size > end)
		return NULL;
	asm volatile("" : "+r"(at));
	if (at > HEADER_BYTES - size)
		return NULL;
	return e->header + at;
}

static __always_inline u16 filter_be16(const u8 *b)
{
	return b[0] << 8 | b[1];
}

static __always_inline bool filter_has_ports(u8 protocol)
{
	return protocol == FILTER_TCP || protocol == FILTER_UDP || protocol == FILTER_DCCP ||
	       protocol == FILTER_SCTP || protocol == FILTER_UDPLITE;
}

static __always_inline bool filter_is_extension(u8 protocol)
{
	return protocol == FILTER_HOPOPTS || protocol == FILTER_ROUTING ||
	       protocol == FILTER_FRAGMENT || protocol == FILTER_DSTOPTS;
}

/* Types that quote the packet they are about: RFC 792, RFC 4443. */
static __always_inline bool filter_is_error(u16 ether, u8 protocol, u8 type)
{
	if (ether == FILTER_ETHER_IPV6)
		return protocol == FILTER_ICMPV6 && type >= 1 && type <= 4;
	return protocol == FILTER_ICMP &&
	       (type == 3 || type == 4 || type == 5 || type == 11 || type == 12);
}

static __always_inline void filter_transport(const struct event *e, struct filter_work *w,
					     struct filter_view *v)
{
	const u8 *b;

	if (filter_has_ports(v->protocol)) {
		b = filter_bytes(e, w->at, w->end, 4);
		if (!b)
			return;
		v->has_ports = 1;
		v->sport = filter_be16(b);
		v->dport = filter_be16(b + 2);
		return;
	}
	b = filter_bytes(e, w->at, w->end, 8);
	if (b && filter_is_error(w->ether, v->protocol, b[0]))
		w->quoted = w->at + 8;
}

static __always_inline void filter_ipv4(const struct event *e, struct filter_work *w,
					struct filter_view *v)
{
	const u8 *b = filter_bytes(e, w->at, w->end, 20);
	u32 length, total;

	if (!b || b[0] >> 4 != 4)
		return;
	v->family = 4;
	v->src[0] = *(const u32 *)(b + 12);
	v->dst[0] = *(const u32 *)(b + 16);
	v->has_protocol = 1;
	v->protocol = b[9];
	length = (b[0] & 15) * 4;
	total = filter_be16(b + 2);
	/* Past the first fragment there is no transport header. */
	if (length < 20 || filter_be16(b + 6) & 0x1fff)
		return;
	/* No ports out of the padding of a short frame. */
	if (total >= length && w->at + total < w->end)
		w->end = w->at + total;
	w->at += length;
	filter_transport(e, w, v);
}

/* Returns whether the transport header follows. */
static __always_inline bool filter_extensions(const struct event *e, struct filter_work *w,
					      struct filter_view *v)
{
	u8 next = v->protocol;

	for (u32 i = 0; i < FILTER_EXTENSIONS; i++) {
		const u8 *b;
		bool fragment = next == FILTER_FRAGMENT;

		if (!filter_is_extension(next))
			break;
		b = filter_bytes(e, w->at, w->end, 8);
		if (!b)
			return false;
		next = b[0];
		w->at += fragment ? 8 : (b[1] + 1) * 8;
		if (fragment && filter_be16(b + 2) & 0xfff8) {
			v->protocol = next;
			v->has_protocol = !filter_is_extension(next);
			return false;
		}
	}
	v->protocol = next;
	v->has_protocol = !filter_is_extension(next);
	return v->has_protocol;
}

static __always_inline void filter_ipv6(const struct event *e, struct filter_work *w,
					struct filter_view *v)
{
	const u8 *b = filter_bytes(e, w->at, w->end, 40);
	u32 payload;

	if (!b || b[0] >> 4 != 6)
		return;
	v->family = 6;
	for (int i = 0; i < 4; i++) {
		v->src[i] = *(const u32 *)(b + 8 + 4 * i);
		v->dst[i] = *(const u32 *)(b + 24 + 4 * i);
	}
	v->protocol = b[6];
	payload = filter_be16(b + 4);
	w->at += 40;
	if (payload && w->at + payload < w->end)
		w->end = w->at + payload;
	if (filter_extensions(e, w, v))
		filter_transport(e, w, v);
}

/* Sender and target, where the addresses are those of IPv4. */
static __always_inline void filter_arp(const struct event *e, struct filter_work *w,
				       struct filter_view *v)
{
	const u8 *b = filter_bytes(e, w->at, w->end, 8);
	const u8 *sender, *target;
	u32 hardware;

	if (!b || filter_be16(b + 2) != FILTER_ETHER_IPV4 || b[5] != 4)
		return;
	hardware = b[4];
	sender = filter_bytes(e, w->at + 8 + hardware, w->end, 4);
	target = filter_bytes(e, w->at + 12 + 2 * hardware, w->end, 4);
	if (!sender || !target)
		return;
	v->family = 4;
	v->src[0] = *(const u32 *)sender;
	v->dst[0] = *(const u32 *)target;
}

/* A function of its own, for the verifier and for the stack: it is called twice. */
static __noinline int filter_read_header(const struct event *e, struct filter_work *w,
					 struct filter_view *v)
{
	switch (w->ether) {
	case FILTER_ETHER_IPV4:
		filter_ipv4(e, w, v);
		break;
	case FILTER_ETHER_IPV6:
		filter_ipv6(e, w, v);
		break;
	case FILTER_ETHER_ARP:
		filter_arp(e, w, v);
		break;
	}
	return 0;
}

static __always_inline void filter_skip_tags(const struct event *e, struct filter_work *w)
{
	for (u32 i = 0; i < FILTER_TAGS; i++) {
		const u8 *b;

		if (w->ether != FILTER_ETHER_VLAN && w->ether != FILTER_ETHER_SERVICE)
			return;
		b = filter_bytes(e, w->at, w->end, 4);
		if (!b)
			return;
		w->ether = filter_be16(b + 2);
		w->at += 4;
	}
}

/* mirror: as a packet of the other direction would have it. */
static __always_inline void filter_read_tuple(const struct ct_tuple *t, bool mirror,
					      struct filter_view *v)
{
	const u32 *src = (const u32 *)(mirror ? t->dst : t->src);
	const u32 *dst = (const u32 *)(mirror ? t->src : t->dst);
	u16 sport = __builtin_bswap16(mirror ? t->dst_port : t->src_port);
	u16 dport = __builtin_bswap16(mirror ? t->src_port : t->dst_port);

	if (t->l3num != 2 && t->l3num != 10) /* AF_INET, AF_INET6 */
		return;
	v->family = t->l3num == 2 ? 4 : 6;
	for (int i = 0; i < 4; i++) {
		v->src[i] = src[i];
		v->dst[i] = dst[i];
	}
	/* ICMP's id and GRE's key lie in the same place. */
	v->has_ports = filter_has_ports(t->protonum);
	v->sport = sport;
	v->dport = dport;
}

static __always_inline void filter_read_views(const struct event *e, struct filter_work *w)
{
	bool reply = e->ct.ctinfo >= 3; /* IP_CT_IS_REPLY */

	__builtin_memset(w, 0, sizeof(*w));
	w->ether = e->protocol;
	w->end = e->header_len;
	filter_skip_tags(e, w);
	filter_read_header(e, w, &w->view[FILTER_PACKET]);
	if (w->quoted) {
		w->at = w->quoted;
		filter_read_header(e, w, &w->view[FILTER_QUOTED]);
	}
	if (e->ct.present != 1)
		return;
	filter_read_tuple(&e->ct.original, reply, &w->view[reply ? FILTER_OTHER : FILTER_OWN]);
	filter_read_tuple(&e->ct.reply, !reply, &w->view[reply ? FILTER_OWN : FILTER_OTHER]);
}

#endif
