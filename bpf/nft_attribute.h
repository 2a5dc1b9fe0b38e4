/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nft_attribute.h - steps from a drop of nftables to its rule or policy.
 */
#ifndef DROPTRACE_NFT_ATTRIBUTE_H
#define DROPTRACE_NFT_ATTRIBUTE_H

#include "nft_pending.h"
#include "nft_rule.h"
#include "scratch.h"

/* From s->rule to s->chain by the table of one of the hook's chains. */
__noinline int step_search_table(u32 level, u64 base)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();

	if (s && c)
		s->chain = search_table(&c->layout, base, s->rule);
	return 0;
}

/* 5.17 to 6.3: no trailer; look through the tables that stand on this hook. */
static __always_inline void chain_by_search(u32 level, struct scratch *s)
{
	s->chain = 0;
	for (u32 i = 0; i < MAX_NFT_CHAINS; i++) {
		if (i >= s->scan.nft || s->chain)
			break;
		step_search_table(level, s->scan.nft_chain[i]);
	}
}

static __always_inline int find_chain(u32 level, bool loops)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct rule_key key = {};

	if (!s || !c)
		return 0;
	key.rule = s->rule;
	key.netns_cookie = s->event.netns_cookie;
	key.generation = s->event.rule.generation;
	if (!c->layout.rule_blob)
		s->chain = chain_by_list(&s->scan, &c->layout, key.rule, loops);
	else if (c->layout.last_chain)
		s->chain = chain_by_trailer(&key, c->layout.last_chain, loops);
	else if (loops)
		chain_by_search(level, s);
	else
		s->chain = 0;
	return 0;
}

/* From s->rule to s->chain. */
__noinline int step_find_chain(u32 level)
{
	return find_chain(level, true);
}

__noinline int step_find_chain_unrolled(u32 level)
{
	return find_chain(level, false);
}

/* Where the rule that holds the noted expression ends: 0 where it is none. */
__noinline int step_end_of_rule(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct expr_walk w = {};

	if (!s || !c)
		return 0;
	w.at = s->note.expr;
	w.ops_size = c->layout.ops_size;
	bpf_loop(MAX_RULE_EXPRESSIONS, walk_expression, &w, 0);
	s->rule = w.end;
	return 0;
}

/* The rule of s->chain that ends where s->rule begins. */
__noinline int step_rule_before(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct expr_walk w = {};
	u64 blob;

	if (!s || !c)
		return 0;
	w.end = s->rule;
	s->rule = 0;
	blob = read_u64(s->chain + c->layout.chain_blob[0]);
	if (!blob_holds(blob, s->note.expr))
		blob = read_u64(s->chain + c->layout.chain_blob[1]);
	if (!blob_holds(blob, s->note.expr))
		return 0;
	w.at = blob + sizeof(u64);
	bpf_loop(MAX_RULE_WALK, walk_to_rule, &w, 0);
	s->rule = w.rule;
	return 0;
}

/*
 * The rule that an expression belongs to, where no register told (fentry): its
 * end is found forwards, its chain from there, its beginning from the chain's.
 */
static __always_inline void find_rule_of_expression(u32 level, struct scratch *s)
{
	step_end_of_rule(level);
	if (!s->rule)
		return;
	step_find_chain(level);
	if (s->chain)
		step_rule_before(level);
	else
		s->rule = 0;
}

/* Fills what names s->rule; false where it is no rule. */
static __always_inline bool name_rule(u32 level, struct scratch *s, const struct config *c,
				      bool loops)
{
	struct rule_info *r = &s->event.rule;

	r->rule_handle = rule_handle(&c->layout, s->rule);
	if (!r->rule_handle)
		return false;
	r->kind = RULE_NFT;
	r->address = s->rule;
	if (loops)
		step_find_chain(level);
	else
		step_find_chain_unrolled(level);
	if (s->chain)
		name_chain(r, &c->layout, s->chain);
	return true;
}

/* The expression that a probe saw give the verdict. */
static __always_inline bool attribute_expression(u32 level, struct scratch *s,
						 const struct config *c, bool loops)
{
	struct note *note = &s->note;

	if (!note->kind || note->kind == NOTE_XT_TARGET)
		return false;
	s->rule = note->rule;
	if (!s->rule && loops && c->layout.rule_blob)
		find_rule_of_expression(level, s);
	if (!s->rule || !name_rule(level, s, c, loops))
		return false;
	s->event.rule.method = METHOD_NFT_EXPRESSION;
	s->event.rule.verdict = note->kind == NOTE_NFT_REJECT;
	return true;
}

/* A policy, where the call site says so or every other way to a drop was silent. */
static __always_inline void attribute_policy(struct scratch *s, const struct config *c, u64 chain,
					     u32 method)
{
	struct rule_info *r = &s->event.rule;

	if (!drops_by_policy(c, chain))
		return;
	r->kind = RULE_NFT_POLICY;
	r->method = method;
	name_chain(r, &c->layout, chain);
}

/*
 * The policy, because every probe was silent. One that spoke of this packet, if
 * only of a target in it, says that it was not the policy.
 */
static __always_inline void attribute_rest_policy(struct scratch *s, const struct config *c,
						  u64 chain)
{
	if (!c->nft_evals_hooked || s->note.kind)
		return;
	attribute_policy(s, c, chain, METHOD_POLICY_REST);
	if (eval_unseen(s->state))
		s->event.flags |= FLAG_EVAL_UNSEEN;
}

static __always_inline bool on_this_hook(const struct hook_scan *scan, u64 chain)
{
	for (u32 i = 0; i < MAX_NFT_CHAINS; i++)
		if (i < scan->nft && scan->nft_chain[i] == chain)
			return true;
	return false;
}

/* nft_do_chain freed the packet: rule and policy are two calls. */
static __always_inline void attribute_in_place(u32 level, struct scratch *s,
					       const struct config *c, bool loops)
{
	u64 chain;

	if (s->site.kind == FRAME_RULE) {
		s->rule = window_word(&s->window, s->site.rule);
		if (name_rule(level, s, c, loops))
			s->event.rule.method = METHOD_NFT_FRAME;
	} else if (s->site.kind == FRAME_POLICY) {
		chain = window_word(&s->window, s->site.chain);
		if (on_this_hook(&s->scan, chain))
			attribute_policy(s, c, chain, METHOD_POLICY_SITE);
	} else if (s->scan.policy == 1) {
		attribute_rest_policy(s, c, s->scan.policy_chain);
	}
}

static __always_inline int attribute_nft(u32 level, bool loops)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();

	if (!s || !c)
		return 0;
	/* First, and not again: what is found is of this generation or an older one. */
	s->event.rule.generation = nft_generation((void *)s->net);
	if (attribute_expression(level, s, c, loops)) {
	} else if (s->kind == SITE_NFT) {
		attribute_in_place(level, s, c, loops);
	} else if (s->scan.known) {
		/* nft returned NF_DROP: with no expression to blame it is the policy */
		attribute_rest_policy(s, c, s->scan.dropper.priv);
	}
	return 0;
}

__noinline int step_attribute_nft(u32 level)
{
	return attribute_nft(level, true);
}

__noinline int step_attribute_nft_unrolled(u32 level)
{
	return attribute_nft(level, false);
}

#endif
