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

#include "filter_packet.h"

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
