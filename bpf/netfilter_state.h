/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * netfilter_state.h - steps that find where in netfilter a drop happened: the frame of the
 * call that freed, the hook state in it, the functions on the hook.
 */
#ifndef DROPTRACE_NETFILTER_STATE_H
#define DROPTRACE_NETFILTER_STATE_H

#include "scratch.h"

/* enum nft_verdicts of uapi linux/netfilter/nf_tables.h */
#define NFT_CONTINUE -1
#define NFT_RETURN -5

/*
 * Rule or policy, where both free by one call. nft_do_chain's struct nft_regs begins
 * with the verdict: a rule's own, or what led to the chain's end. Any other, as of
 * a jump too deep, leaves it open.
 */
static __always_inline u8 kind_by_verdict(s32 code)
{
	switch (code) {
	case NF_DROP:
		return FRAME_RULE;
	case NFT_CONTINUE:
	case NFT_RETURN:
		return FRAME_POLICY;
	}
	return FRAME_EITHER;
}

/* Window and calibration of the call that frees. */
__noinline int step_read_frame(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct frame_site *site;
	struct frame_key key = {};

	if (!s)
		return 0;
	s->window.start = s->context - BELOW_WORDS * 8;
	s->site.kind = 0;
	key.location = s->event.location;
	key.distance = frame_distance(&s->window, s->context, s->event.location);
	site = bpf_map_lookup_elem(&frame_sites, &key);
	if (site)
		s->site = *site;
	/*
	 * Here and nowhere else: a register that nobody saved before lies in the
	 * frame of the very helper that reads, so calibration must read as every
	 * other run does, at the same depth of calls.
	 */
	if (!site || s->calibrating) {
		read_window(&s->window, s->context);
		return 0;
	}
	read_slot(&s->window, site->rule);
	read_slot(&s->window, site->chain);
	read_slot(&s->window, site->pkt);
	read_slot(&s->window, site->state);
	read_slot(&s->window, site->entries);
	read_slot(&s->window, site->index);
	read_slot(&s->window, site->verdict);
	if (site->kind == FRAME_EITHER)
		s->site.kind = kind_by_verdict(window_word(&s->window, site->verdict));
	return 0;
}

static __always_inline u64 calibrated_state(const struct scratch *s)
{
	u64 pkt;

	if (s->site.kind == FRAME_HOOK)
		return window_word(&s->window, s->site.state);
	if (!s->site.kind)
		return 0;
	pkt = window_word(&s->window, s->site.pkt);
	/* struct nft_pktinfo {skb, state}, 5.17 and later */
	if (!on_stack(&s->window, pkt) || read_u64(pkt) != s->skb)
		return 0;
	return read_u64(pkt + 8);
}

static __always_inline bool good_state(const struct scratch *s, u64 net)
{
	return on_stack(&s->window, s->state) && has_state_shape(s->state, net);
}

/* Whether a word of the window is it. Global, so that the verifier walks it once. */
__noinline int step_try_state(u32 level, u32 i)
{
	struct scratch *s = get_scratch(level);

	if (!s || i >= WINDOW_WORDS)
		return 0;
	s->state = s->window.words[i];
	return good_state(s, s->net);
}

__noinline int step_try_pktinfo(u32 level, u32 i)
{
	struct scratch *s = get_scratch(level);

	if (!s || i >= WINDOW_WORDS || s->window.words[i] != s->skb)
		return 0;
	return step_try_state(level, i + 1);
}

/*
 * Without calibration: the first word that points into the stack at something
 * shaped like a hook state of our namespace. nf_hook_slow and its callees hold
 * the true one in a register, hence nearest.
 */
__noinline int step_search_state(u32 level)
{
	struct scratch *s = get_scratch(level);

	if (!s)
		return 0;
	for (u32 i = 0; i < WINDOW_WORDS; i++)
		if (step_try_state(level, i))
			return 0;
	s->state = 0;
	return 0;
}

/* The same for nft_do_chain: struct nft_pktinfo {skb, state} gives both. */
__noinline int step_search_pktinfo(u32 level)
{
	struct scratch *s = get_scratch(level);

	if (!s)
		return 0;
	for (u32 i = BELOW_WORDS + ARGUMENT_WORDS; i < WINDOW_WORDS - 1; i++)
		if (step_try_pktinfo(level, i))
			return 0;
	s->state = 0;
	return 0;
}

/* The hook state of the traversal that ends here. */
__noinline int step_find_state(u32 level)
{
	struct scratch *s = get_scratch(level);

	if (!s)
		return 0;
	s->event.flags |= FLAG_HOOK_PROBE;
	s->state = take_hook_note(&s->window, s->skb);
	if (good_state(s, 0))
		return 0;
	s->event.flags ^= FLAG_HOOK_PROBE | FLAG_HOOK_FRAME;
	s->state = calibrated_state(s);
	if (good_state(s, 0))
		return 0;
	if (s->site.kind && !s->calibrating)
		read_window(&s->window, s->context); /* only its slots were read */
	step_search_pktinfo(level);
	if (!s->state && s->kind != SITE_NFT)
		step_search_state(level);
	return 0;
}

/* As scan_entries; a global function, so that the verifier walks an entry once. */
__noinline int step_scan_entry(u32 level, u64 entries, u32 i)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct hook_entry h;

	if (!s || !c)
		return 0;
	read_entry(&h, entries, i);
	scan_entry(&s->scan, c, (void *)s->net, s->event.pf, &h);
	return 0;
}

static __always_inline void scan_hook(u32 level, u64 entries)
{
	struct scratch *s = get_scratch(level);
	u16 n = entries ? entries_count(entries) : 0;

	for (u32 i = 0; i < MAX_HOOKS; i++) {
		if (i >= n)
			break;
		step_scan_entry(level, entries, i);
	}
	if (s && n > MAX_HOOKS)
		s->scan.unseen = 1;
}

/* The NAT chains, which NAT's one hook runs. */
static __always_inline void scan_nat(u32 level, struct scratch *s)
{
	u32 xt = s->scan.xt, nft = s->scan.nft;

	scan_hook(level, s->scan.nat_entries);
	s->scan.nat_xt = s->scan.xt - xt;
	s->scan.nat_nft = s->scan.nft - nft;
}

/*
 * Compares the frame's entries with the namespace's list. They differ if the frame is
 * not as it was calibrated, such as while another tracer comes or goes, or if the list
 * was replaced since the packet passed. Then the frame does not show which hook dropped
 * the packet, and the packet may have passed hooks that are no longer listed.
 */
static __always_inline void check_entries(struct scratch *s)
{
	u64 walked;

	if (s->site.kind != FRAME_HOOK || s->site.entries == NO_SLOT)
		return;
	walked = window_word(&s->window, s->site.entries);
	if (!s->entries) {
		s->entries = walked;
	} else if (walked && walked != s->entries) {
		s->site.index = NO_SLOT;
		s->scan.unseen = 1;
		s->event.flags |= FLAG_UNCALIBRATED; /* so that it is calibrated again */
	}
}

/* What stands on the hook. */
__noinline int step_scan_hooks(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct event *e;
	struct net *net;

	if (!s)
		return 0;
	e = &s->event;
	net = use_state(e, s->state);
	s->net = (u64)net;
	s->entries = hook_entries(net, e->pf, e->hook, s->state);
	__builtin_memset(&s->scan, 0, sizeof(s->scan));
	check_entries(s);
	scan_hook(level, s->entries);
	if (s->scan.nat_entries)
		scan_nat(level, s);
	if (s->scan.nat)
		e->flags |= FLAG_NAT_HERE;
	if (s->scan.nft)
		e->flags |= FLAG_NFT_HERE;
	if (s->scan.policy)
		e->flags |= FLAG_NFT_POLICY;
	return 0;
}

#endif
