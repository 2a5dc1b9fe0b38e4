/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter.h - decides, before a record is reserved, whether anybody asked for it.
 *
 * It reads struct event alone: header[] and its length, protocol, ct, the names
 * of the devices, hook, pf, rule.kind, flags, netns, reason and mark have to be
 * filled in. What it reads of a packet is what tracer/packet reads, and what it
 * lets through is what MatchEvent of tracer/filter does: a test there runs both.
 * The configuration comes from (*Filter).Kernel; zero lets everything through.
 */
#ifndef DROPTRACE_FILTER_H
#define DROPTRACE_FILTER_H

#include "event.h"

/* 1. What Go configures: struct filter_config. */

/* Room in its lists; what does not fit Go leaves out and decides by itself. */
#define FILTER_PORTS 16
#define FILTER_PREFIXES 16
#define FILTER_IFACES 8
#define FILTER_NETNS 16
#define FILTER_REASONS 32
#define FILTER_MARKS 4
#define FILTER_TAGS 2	    /* VLAN tags in the bytes: maxTags of tracer/packet */
#define FILTER_EXTENSIONS 8 /* IPv6 extension headers: MaxExtensions of it */

/*
 * The conditions: one bit for each flag of the command line. Lists are OR and
 * flags AND: whatever fits sets its flag's bit, and all wanted bits must be set.
 */
enum filter_condition {
	FILTER_PORT = 1 << 0,
	FILTER_SPORT = 1 << 1,
	FILTER_DPORT = 1 << 2,
	FILTER_HOST = 1 << 3,
	FILTER_SRC = 1 << 4,
	FILTER_DST = 1 << 5,
	FILTER_IFACE = 1 << 6,
	FILTER_IN = 1 << 7,
	FILTER_OUT = 1 << 8,
	FILTER_PROTO = 1 << 9,
	FILTER_IN_NETNS = 1 << 10,
	FILTER_HOOK = 1 << 11,
	FILTER_REASON = 1 << 12,
	FILTER_MARK = 1 << 13,
	FILTER_NETFILTER = 1 << 14,

	FILTER_ANY_IFACE = FILTER_IFACE | FILTER_IN | FILTER_OUT,
	FILTER_FLOW = FILTER_PORT | FILTER_SPORT | FILTER_DPORT | FILTER_HOST | FILTER_SRC |
		      FILTER_DST | FILTER_PROTO, /* those that need the headers */
};

/* Hooks by their names; the numbers of the kernel differ by family. */
enum filter_hook {
	HOOK_BIT_PREROUTING = 1 << 0,
	HOOK_BIT_INPUT = 1 << 1,
	HOOK_BIT_FORWARD = 1 << 2,
	HOOK_BIT_OUTPUT = 1 << 3,
	HOOK_BIT_POSTROUTING = 1 << 4,
	HOOK_BIT_INGRESS = 1 << 5,
	HOOK_BIT_EGRESS = 1 << 6,
};

struct filter_port {
	u16 first; /* host order, both ends belong to the range */
	u16 last;
	u16 src; /* conditions met by a source port in it */
	u16 dst; /* ... by a destination port */
};

struct filter_prefix {
	u32 address[4]; /* network order, 0 where mask is; IPv4 in the first */
	u32 mask[4];
	u16 family; /* 4 or 6 */
	u16 src;
	u16 dst;
	u16 pad;
};

struct filter_iface {
	u8 name[IFNAME_BYTES]; /* 0 where mask is */
	u8 mask[IFNAME_BYTES]; /* over the NUL too, unless any ending will do */
	u16 in;
	u16 out;
	u16 dev; /* conditions met by the packet's own device */
	u16 pad;
};

struct filter_mark {
	u32 value;
	u32 mask;
};

struct filter_config {
	u32 want; /* enum filter_condition */
	u32 hooks; /* enum filter_hook */
	u8 ports;  /* how many of each list below are in use */
	u8 prefixes;
	u8 ifaces;
	u8 netns;
	u8 reasons;
	u8 marks;
	u8 pad[2];
	u64 protocols[4]; /* a bit for each */
	struct filter_port port[FILTER_PORTS];
	struct filter_prefix prefix[FILTER_PREFIXES];
	struct filter_iface iface[FILTER_IFACES];
	struct filter_mark mark[FILTER_MARKS];
	u32 inode[FILTER_NETNS];
	u32 reason[FILTER_REASONS];
};

/* 2. What a drop is compared by: its headers and conntrack tuples. */

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

/* 3. The conditions. */

/*
 * What follows compares without branches: 1 or 0 comes out of a sign bit. With
 * a branch for each entry of a list the verifier would walk each way through it.
 */
static __always_inline u32 filter_less(u64 a, u64 b)
{
	a -= b;
	/* Without the barrier clang sees through it and branches. */
	asm volatile("" : "+r"(a));
	return a >> 63;
}

static __always_inline u32 filter_in_range(u16 port, u16 first, u16 last)
{
	return filter_less((u16)(port - first), (u64)(u16)(last - first) + 1);
}

static __always_inline u32 filter_in_prefix(const u32 *address, u8 family,
					    const volatile struct filter_prefix *p)
{
	u32 differ = family ^ p->family;

	for (int i = 0; i < 4; i++)
		differ |= (address[i] ^ p->address[i]) & p->mask[i];
	return filter_less(differ, 1);
}

/* The loops end at a constant because 5.10 wants to see the end. */
static __always_inline u32 filter_ports(const volatile struct filter_config *f,
					const struct filter_work *w)
{
	u32 hits = 0;

	for (u32 i = 0; i < FILTER_PORTS; i++) {
		const volatile struct filter_port *p = &f->port[i];
		u32 src = 0, dst = 0;

		if (i >= f->ports)
			break;
		for (int j = 0; j < FILTER_SOURCES; j++) {
			const struct filter_view *v = &w->view[j];

			src |= v->has_ports & filter_in_range(v->sport, p->first, p->last);
			dst |= v->has_ports & filter_in_range(v->dport, p->first, p->last);
		}
		hits |= (p->src & -src) | (p->dst & -dst);
	}
	return hits;
}

static __always_inline u32 filter_prefixes(const volatile struct filter_config *f,
					   const struct filter_work *w)
{
	u32 hits = 0;

	for (u32 i = 0; i < FILTER_PREFIXES; i++) {
		const volatile struct filter_prefix *p = &f->prefix[i];
		u32 src = 0, dst = 0;

		if (i >= f->prefixes)
			break;
		for (int j = 0; j < FILTER_SOURCES; j++) {
			const struct filter_view *v = &w->view[j];

			src |= filter_in_prefix(v->src, v->family, p);
			dst |= filter_in_prefix(v->dst, v->family, p);
		}
		hits |= (p->src & -src) | (p->dst & -dst);
	}
	return hits;
}

/*
 * Conditions that need the packet's headers. The protocol, which branches, comes
 * behind the lists, so that the verifier walks them once.
 */
static __noinline u32 filter_flow(const struct event *e, struct filter_work *w,
				  const volatile struct filter_config *f)
{
	const struct filter_view *v = &w->view[FILTER_PACKET];
	u32 hits;

	filter_read_views(e, w);
	hits = filter_ports(f, w) | filter_prefixes(f, w);
	if (v->has_protocol && f->protocols[v->protocol >> 6] >> (v->protocol & 63) & 1)
		hits |= FILTER_PROTO;
	return hits;
}

static __always_inline u32 filter_same_name(const char *name,
					    const volatile struct filter_iface *i)
{
	const u64 *a = (const u64 *)name;
	const volatile u64 *b = (const volatile u64 *)i->name;
	const volatile u64 *mask = (const volatile u64 *)i->mask;
	u64 differ = ((a[0] ^ b[0]) & mask[0]) | ((a[1] ^ b[1]) & mask[1]);

	/* A wildcard alone wants an interface, whichever. */
	return filter_less(differ >> 32 | (u32)differ, 1) & filter_less(0, (u8)name[0]);
}

/*
 * Where netfilter had no part the packet's device is known, but not whether it
 * was coming in or going out there: both fit.
 */
static __noinline u32 filter_ifaces(const struct event *e, const volatile struct filter_config *f)
{
	u32 directions = e->hook == NO_HOOK ? FILTER_IN | FILTER_OUT : 0;
	u32 hits = 0;

	for (u32 i = 0; i < FILTER_IFACES; i++) {
		const volatile struct filter_iface *p = &f->iface[i];
		u32 in, out, dev;

		if (i >= f->ifaces)
			break;
		in = p->in;
		out = p->out;
		dev = p->dev | ((in | out) & directions);
		hits |= in & -filter_same_name(e->in_name, p);
		hits |= out & -filter_same_name(e->out_name, p);
		hits |= dev & -filter_same_name(e->dev_name, p);
	}
	return hits;
}

static __always_inline u32 filter_netns(const struct event *e,
					const volatile struct filter_config *f)
{
	u32 hit = 0;

	for (u32 i = 0; i < FILTER_NETNS; i++) {
		if (i >= f->netns)
			break;
		hit |= filter_less(e->netns ^ f->inode[i], 1);
	}
	return hit;
}

static __always_inline u32 filter_reasons(const struct event *e,
					  const volatile struct filter_config *f)
{
	u32 hit = 0;

	for (u32 i = 0; i < FILTER_REASONS; i++) {
		if (i >= f->reasons)
			break;
		hit |= filter_less(e->reason ^ f->reason[i], 1);
	}
	return hit;
}

static __always_inline u32 filter_marks(const struct event *e,
					const volatile struct filter_config *f)
{
	u32 hit = 0;

	for (u32 i = 0; i < FILTER_MARKS; i++) {
		if (i >= f->marks)
			break;
		hit |= filter_less((e->mark & f->mark[i].mask) ^ f->mark[i].value, 1);
	}
	return hit;
}

/* enum filter_hook of a hook; 0 where there is none or it has no such name. */
static __always_inline u32 filter_hook_bit(u8 pf, u8 hook)
{
	switch (pf) {
	case 1:	 /* NFPROTO_INET */
		if (hook == 5) /* NF_INET_INGRESS */
			return HOOK_BIT_INGRESS;
		/* fall through */
	case 2:	 /* NFPROTO_IPV4 */
	case 7:	 /* NFPROTO_BRIDGE */
	case 10: /* NFPROTO_IPV6 */
		return hook < 5 ? 1 << hook : 0;
	case 3: /* NFPROTO_ARP */
		if (hook == 0)
			return HOOK_BIT_INPUT;
		if (hook == 1)
			return HOOK_BIT_OUTPUT;
		return hook == 2 ? HOOK_BIT_FORWARD : 0;
	case 5: /* NFPROTO_NETDEV */
		if (hook == 0)
			return HOOK_BIT_INGRESS;
		return hook == 1 ? HOOK_BIT_EGRESS : 0;
	}
	return 0;
}

/* Netfilter freed it or had it under way, whether or not its state was found. */
static __always_inline bool filter_in_netfilter(const struct event *e)
{
	return e->hook != NO_HOOK || e->rule.kind != RULE_NONE ||
	       e->flags & (FLAG_HOOK_PROBE | FLAG_HOOK_FRAME);
}

/*
 * The dearest comes last. Each part decides for itself: a sum of hits carried
 * from one to the next would be one more thing for the verifier to tell apart.
 */
static __always_inline bool filter_match(const struct event *e, struct filter_work *w,
					 const volatile struct filter_config *f)
{
	u32 want = f->want;
	u32 iface = want & FILTER_ANY_IFACE;
	u32 flow = want & FILTER_FLOW;

	if (want & FILTER_NETFILTER && !filter_in_netfilter(e))
		return false;
	if (want & FILTER_HOOK && !(f->hooks & filter_hook_bit(e->pf, e->hook)))
		return false;
	if (want & FILTER_IN_NETNS && !filter_netns(e, f))
		return false;
	if (want & FILTER_REASON && !filter_reasons(e, f))
		return false;
	if (want & FILTER_MARK && !filter_marks(e, f))
		return false;
	if (iface && iface & ~filter_ifaces(e, f))
		return false;
	return !flow || !(flow & ~filter_flow(e, w, f));
}

#endif
