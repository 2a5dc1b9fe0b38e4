/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * attribute.h - steps from a drop in netfilter to its cause: the hook that
 * dropped, the legacy rule whose counter moved, or nftables' own.
 */
#ifndef DROPTRACE_ATTRIBUTE_H
#define DROPTRACE_ATTRIBUTE_H

#include "netfilter_state.h"
#include "nft_attribute.h"
#include "xt_fresh.h"

__noinline int step_compare_counter(u32 level, u32 i)
{
	struct scratch *s = get_scratch(level);

	return s ? compare_counter(i, &s->walk) : 0;
}

static __always_inline int compare_table(u32 level, u64 table, bool loops)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();

	if (!s || !c)
		return 0;
	return find_entry(level, &s->event, c, &s->walk, table, loops);
}

__noinline int step_compare_table(u32 level, u64 table)
{
	return compare_table(level, table, true);
}

__noinline int step_compare_table_unrolled(u32 level, u64 table)
{
	return compare_table(level, table, false);
}

/*
 * Whether no chain behind the NAT hook can have returned its NF_DROP. NAT drops by
 * itself: ICMP redirects of what it translates or has not finished
 * (nf_nat_icmp_reply_translation), what masquerading sent by another interface.
 */
static __always_inline bool nat_alone(const struct hook_scan *scan, const struct config *c)
{
	return !scan->nat_xt && (!scan->nat_nft || c->nft_in_place);
}

/* Narrows the scan to the hook that dropped, where the frame tells which. */
__noinline int step_find_dropper(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct hook_scan *scan;
	u64 table;

	if (!s || !c || s->site.kind != FRAME_HOOK)
		return 0;
	scan = &s->scan;
	find_dropper(scan, &s->window, &s->site, s->entries);
	if (!scan->known)
		return 0;
	s->event.hook_fn = scan->dropper.fn;
	switch (scan->dropper_class & 0xffff) {
	case HOOK_XT:
		table = entry_xt_table(c, (void *)s->net, s->event.pf, &scan->dropper,
				       scan->dropper_class);
		name_xt_table(&s->event.rule, &c->layout, table);
		scan->xt = 1;
		scan->xt_table[0] = table;
		break;
	case HOOK_NFT: /* kernels whose nft returns NF_DROP: the base chain at least */
		scan->xt = 0;
		name_chain(&s->event.rule, &c->layout, scan->dropper.priv);
		break;
	case HOOK_NAT:
		if (!nat_alone(scan, c))
			break;
		/* fallthrough */
	default:
		scan->xt = 0;
		s->event.rule.kind = RULE_HOOK;
		s->event.rule.method = METHOD_HOOK;
	}
	return 0;
}

/* What a probe left about this packet; kind 0: nothing. */
__noinline int step_take_note(u32 level)
{
	struct scratch *s = get_scratch(level);

	if (s && !take_note(&s->note, s->skb, s->state, s->event.time))
		s->note.kind = 0;
	return 0;
}

/* The legacy table whose blob holds the target that a probe saw. */
__noinline int step_find_target(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();

	if (!s || !c)
		return 0;
	for (u32 i = 0; i < MAX_XT_TABLES; i++) {
		u64 private, entries;
		u32 size;

		if (i >= s->scan.xt)
			break;
		private = read_u64(s->scan.xt_table[i] + c->layout.xt_private);
		size = (u32)read_u64(private + XT_INFO_SIZE);
		entries = private + XT_INFO_ENTRIES;
		if (s->note.expr < entries || s->note.expr >= entries + size)
			continue;
		name_xt_table(&s->event.rule, &c->layout, s->scan.xt_table[i]);
		s->event.rule.kind = RULE_XT;
		s->event.rule.method = METHOD_XT_TARGET;
		s->event.rule.address = private;
		s->event.rule.offset = s->note.expr - entries;
	}
	return 0;
}

/* Whether an nft chain may have returned the NF_DROP that nf_hook_slow saw. */
static __always_inline bool may_be_nft(const struct hook_scan *scan)
{
	if (scan->known)
		return (scan->dropper_class & 0xffff) == HOOK_NFT;
	return scan->nft > 0;
}

/*
 * Where the frame did not tell: the one hook that is left when nothing else can be
 * it. NAT can, with chains behind it or without; so can what was not looked at.
 * scan->other counts hooks of other kinds (IPVS, br_netfilter, synproxy, BPF,
 * defragmentation of IPv6): there must be exactly one.
 */
static __always_inline void attribute_rest(struct scratch *s)
{
	const struct config *c = get_config();
	const struct hook_scan *scan = &s->scan;

	if (!c || scan->known || scan->xt || scan->nat || scan->unseen || scan->other != 1)
		return;
	if (scan->nft && !c->nft_in_place)
		return;
	s->event.hook_fn = scan->other_fn;
	s->event.rule.kind = RULE_HOOK;
	s->event.rule.method = METHOD_HOOK;
}

/* A hook returned NF_DROP to nf_hook_slow. */
static __always_inline void attribute_hook(u32 level, struct scratch *s, bool loops)
{
	u32 moved = 0;

	step_find_dropper(level);
	if (may_be_nft(&s->scan))
		loops ? step_attribute_nft(level) : step_attribute_nft_unrolled(level);
	if (s->event.rule.kind == RULE_NFT)
		return;
	attribute_rest(s);
	for (u32 i = 0; i < MAX_XT_TABLES; i++) {
		if (i >= s->scan.xt)
			break;
		moved += loops ? step_compare_table(level, s->scan.xt_table[i])
			       : step_compare_table_unrolled(level, s->scan.xt_table[i]);
	}
	s->event.rule.candidates = moved > 255 ? 255 : moved;
	if (loops && s->scan.xt == 1 && !s->event.rule.kind &&
	    s->event.flags & (FLAG_XT_STALE | FLAG_XT_UNTRACKED))
		step_fresh_table(level);
	/* One entry that counted says more than the target's address. */
	if (s->note.kind == NOTE_XT_TARGET && s->event.rule.method != METHOD_XT_COUNTER &&
	    s->event.rule.method != METHOD_XT_FRESH)
		step_find_target(level);
}

/*
 * Whether conntrack has its hook where packets come in: only then does a packet
 * without an entry mean anything.
 */
__noinline int step_find_conntrack(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct hook_entry h;
	u64 entries;
	u16 n;

	if (!s || s->event.ct.present)
		return 0;
	entries = hook_entries((void *)s->net, s->event.pf, NF_INET_PRE_ROUTING, s->state);
	if (!entries)
		return 0;
	n = entries_count(entries);
	for (u32 i = 0; i < MAX_HOOKS; i++) {
		if (i >= n)
			break;
		read_entry(&h, entries, i);
		if (hook_class(h.fn) == HOOK_CONNTRACK) {
			s->event.flags |= FLAG_CONNTRACK;
			break;
		}
	}
	return 0;
}

static __always_inline bool direct_chain(void)
{
	const struct config *c = get_config();

	return c && c->layout.last_chain;
}

static __always_inline void attribute(u32 level, struct scratch *s, bool loops)
{
	step_read_frame(level);
	if (!s->site.kind)
		s->event.flags |= FLAG_UNCALIBRATED;
	step_find_state(level);
	if (!s->state)
		return;
	/* A rule that leads to its chain by itself needs nothing of the hook. */
	if (s->site.kind == FRAME_RULE && direct_chain())
		s->net = (u64)use_state(&s->event, s->state);
	else
		step_scan_hooks(level);
	step_find_conntrack(level);
	step_take_note(level);
	if (s->kind == SITE_HOOK_SLOW)
		attribute_hook(level, s, loops);
	else if (s->kind == SITE_NFT && loops)
		step_attribute_nft(level);
	else if (s->kind == SITE_NFT)
		step_attribute_nft_unrolled(level);
}

#endif
