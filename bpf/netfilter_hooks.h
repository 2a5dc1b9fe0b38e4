/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * netfilter_hooks.h - where in netfilter a packet died: hook, interfaces, and which of
 * the hook's functions can have done it.
 */
#ifndef DROPTRACE_NETFILTER_HOOKS_H
#define DROPTRACE_NETFILTER_HOOKS_H

#include "frame.h"
#include "packet.h"

#define NF_INET_HOOKS 5	  /* prerouting .. postrouting */
#define NF_NETDEV_HOOKS 2 /* ingress, egress */
#define NF_DROP 0
#define NF_INET_PRE_ROUTING 0
#define NF_INET_FORWARD 2
#define MAX_XT_TABLES 8 /* raw mangle nat filter security, and to spare; a power of two */
#define MAX_NFT_CHAINS 16 /* a power of two: indexes are masked with it */
#define HOOK_ENTRIES_FIRST 8 /* struct nf_hook_entries: num, then hooks[] */

enum nf_proto {
	NFPROTO_INET = 1,
	NFPROTO_IPV4 = 2,
	NFPROTO_ARP = 3,
	NFPROTO_NETDEV = 5,
	NFPROTO_BRIDGE = 7,
	NFPROTO_IPV6 = 10,
};

struct hook_entry {
	u64 fn;
	u64 priv;
};

/* What stands on one hook, sorted by what it can do. */
struct hook_scan {
	struct hook_entry dropper; /* the one that returned NF_DROP, if known */
	u32 dropper_class;	   /* with the table's index in the upper half: 5.10 */
	u32 known;		   /* dropper is valid */
	u32 xt;
	u32 nft;
	u32 policy; /* nft base chains with policy drop */
	u32 other;
	u64 other_fn;
	u64 policy_chain;
	u64 nat_entries; /* what hangs behind the NAT hook */
	u32 nat;	 /* NAT hooks: each drops by itself, too */
	u32 nat_xt;	 /* of xt, those behind it */
	u32 nat_nft;
	u32 unseen; /* more entries than are looked at */
	u64 xt_table[MAX_XT_TABLES];
	u64 nft_chain[MAX_NFT_CHAINS];
};

static __always_inline bool is_text(const struct config *c, u64 p)
{
	return (p >= c->text_start && p < c->text_end) ||
	       (p >= c->modules_start && p < c->modules_end);
}

/* A global function: the searches below call it hundreds of times. */
__noinline int has_state_shape(u64 address, u64 want_net)
{
	struct nf_hook_state *state = (void *)address;
	struct net *net = (void *)want_net;
	const struct config *c = get_config();
	struct net *state_net = READ(state, net);
	u8 pf = READ(state, pf);

	if (!c || !state_net || (net && state_net != net))
		return false;
	if (!bpf_core_field_exists(state->hook)) /* 0 would be a hook's number */
		return false;
	if (READ(state, hook) >= NF_INET_HOOKS + 1)
		return false;
	if (pf != NFPROTO_IPV4 && pf != NFPROTO_IPV6 && pf != NFPROTO_INET && pf != NFPROTO_ARP &&
	    pf != NFPROTO_NETDEV && pf != NFPROTO_BRIDGE)
		return false;
	return is_text(c, (u64)READ(state, okfn)) || pf == NFPROTO_NETDEV;
}

static __always_inline struct net *use_state(struct event *e, u64 address)
{
	struct nf_hook_state *state = (void *)address;
	struct net *net = READ(state, net);

	e->hook = READ(state, hook);
	e->pf = READ(state, pf);
	read_device(READ(state, in), &e->in_ifindex, e->in_name);
	read_device(READ(state, out), &e->out_ifindex, e->out_name);
	set_net(e, net);
	return net;
}

/* The entries that nf_hook_slow walks, as its callers find them. */
static __always_inline u64 hook_entries(struct net *net, u8 pf, u32 hook, u64 state_address)
{
	struct nf_hook_state *state = (void *)state_address;
	u64 slot = 0;

	if (pf == NFPROTO_NETDEV) {
		struct net_device *dev = READ(state, in);

		if (hook == 0 && bpf_core_field_exists(dev->nf_hooks_ingress))
			return (u64)READ(dev, nf_hooks_ingress);
		dev = READ(state, out);
		if (hook == 1 && bpf_core_field_exists(dev->nf_hooks_egress))
			return (u64)READ(dev, nf_hooks_egress);
		return 0;
	}
	if (hook >= NF_INET_HOOKS)
		return 0;
	if (pf == NFPROTO_IPV4)
		slot = ADDRESS(net, nf.hooks_ipv4);
	else if (pf == NFPROTO_IPV6)
		slot = ADDRESS(net, nf.hooks_ipv6);
	else if (pf == NFPROTO_BRIDGE)
		slot = ADDRESS(net, nf.hooks_bridge);
	else if (pf == NFPROTO_ARP && hook < 3)
		slot = ADDRESS(net, nf.hooks_arp);
	if (!slot)
		return 0;
	return READ_AT(u64, slot + hook * sizeof(void *));
}

/*
 * 5.10 hooks carry no table: a number in the upper half of their class tells
 * which of net's pointers it is.
 */
static __always_inline u64 old_xt_table(const struct config *c, struct net *net, u8 pf, u32 which)
{
	u16 offset = c->layout.net_tables[pf == NFPROTO_IPV6][which % OLD_XT_TABLES];
	u64 table = 0;

	if (offset)
		table = READ_AT(u64, (u64)net + offset);
	return table;
}

static __always_inline u32 hook_class(u64 fn)
{
	u32 *class = bpf_map_lookup_elem(&hook_fns, &fn);

	return class ? *class : HOOK_OTHER;
}

static __always_inline u64 entry_xt_table(const struct config *c, struct net *net, u8 pf,
					  const struct hook_entry *h, u32 class)
{
	u32 which = class >> 16;

	return which ? old_xt_table(c, net, pf, which) : h->priv;
}

/* A policy that cannot be read drops nothing. */
static __always_inline bool drops_by_policy(const struct config *c, u64 chain)
{
	u8 policy = 1;

	if (!c->layout.chain_policy) /* not known */
		return false;
	bpf_probe_read_kernel(&policy, sizeof(policy), (void *)(chain + c->layout.chain_policy));
	return policy == NF_DROP;
}

static __always_inline void scan_entry(struct hook_scan *scan, const struct config *c,
				       struct net *net, u8 pf, const struct hook_entry *h)
{
	u32 class = hook_class(h->fn);

	switch (class & 0xffff) {
	case HOOK_XT:
		/* Masked: the verifier does not know what lies in scan. */
		scan->xt_table[scan->xt & (MAX_XT_TABLES - 1)] =
			entry_xt_table(c, net, pf, h, class);
		scan->xt++;
		break;
	case HOOK_NFT:
		scan->nft_chain[scan->nft & (MAX_NFT_CHAINS - 1)] = h->priv;
		scan->nft++;
		if (drops_by_policy(c, h->priv)) {
			scan->policy++;
			scan->policy_chain = h->priv;
		}
		break;
	case HOOK_NAT:
		/* struct nf_nat_lookup_hook_priv begins with .entries, 5.10 to 7.2 */
		scan->nat++;
		scan->nat_entries = READ_AT(u64, h->priv);
		break;
	case HOOK_HARMLESS:
		break;
	default:
		scan->other++;
		scan->other_fn = h->fn;
	}
}

static __always_inline u16 entries_count(u64 entries)
{
	return READ_AT(u16, entries);
}

static __always_inline u64 entry_address(u64 entries, u32 i)
{
	return entries + HOOK_ENTRIES_FIRST + i * sizeof(struct hook_entry);
}

static __always_inline void read_entry(struct hook_entry *h, u64 entries, u32 i)
{
	u64 at = entry_address(entries, i);

	if (direct_reads) {
		h->fn = READ_AT(u64, at);
		h->priv = READ_AT(u64, at + sizeof(u64));
	} else {
		bpf_probe_read_kernel(h, sizeof(*h), (void *)at);
	}
}

static __noinline int scan_entries(struct hook_scan *scan, struct net *net, u64 entries, u32 pf)
{
	const struct config *c = get_config();
	struct hook_entry h;
	u16 n;

	if (!entries || !c || !scan)
		return 0;
	n = entries_count(entries);
	for (u32 i = 0; i < MAX_HOOKS; i++) {
		if (i >= n)
			break;
		read_entry(&h, entries, i);
		scan_entry(scan, c, net, pf, &h);
	}
	return n;
}

/* Which hook returned NF_DROP, from the loop variable of nf_hook_slow. */
static __always_inline void find_dropper(struct hook_scan *scan, const struct window *w,
					 const struct frame_site *site, u64 entries)
{
	u64 word = window_word(w, site->index);
	u64 index = word & 0xffffffff; /* s is unsigned int: the upper half is anything */

	if (site->index == NO_SLOT || !entries)
		return;
	if (site->index_kind == 1) {
		u64 first = entries + (s64)site->index_bias;

		if (word < first || (word - first) % sizeof(struct hook_entry))
			return;
		index = (word - first) / sizeof(struct hook_entry);
	}
	if (index >= entries_count(entries))
		return;
	read_entry(&scan->dropper, entries, (u32)index);
	scan->dropper_class = hook_class(scan->dropper.fn);
	scan->known = 1;
}

#endif
