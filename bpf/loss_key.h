/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * loss_key.h - what two drops have in common that Go would call by one name.
 */
#ifndef DROPTRACE_LOSS_KEY_H
#define DROPTRACE_LOSS_KEY_H

#include "event.h"

/*
 * Flags that Go asks for on its way from a record to what it means: class, rule,
 * policy, hook, and how certain that is. All but those that say what follows the
 * record or what its bytes are; a test goes through the others.
 */
enum loss_flag {
	LOSS_FLAGS = FLAG_TASK | FLAG_HOOK_PROBE | FLAG_HOOK_FRAME | FLAG_XT_TRACKED |
		     FLAG_XT_STALE | FLAG_XT_UNTRACKED | FLAG_XT_CAPPED | FLAG_NFT_HERE |
		     FLAG_NFT_POLICY | FLAG_HEAD_FRAGS | FLAG_CONNTRACK | FLAG_FAILURE |
		     FLAG_TUPLE_ONLY | FLAG_UNCALIBRATED | FLAG_EVAL_UNSEEN | FLAG_DEFERRED |
		     FLAG_OVERFLOW | FLAG_HEADERLESS | FLAG_NAT_HERE,
};

struct loss_key {
	u64 location;
	u64 caller;
	u64 netns_cookie;
	u64 rule;  /* nft: handle; x_tables: the table blob's address */
	u64 chain; /* nft: handle */
	u64 table; /* nft: handle */
	u64 hook_fn;
	u32 netns;
	u32 reason;
	enum loss_flag flags;
	u32 offset; /* x_tables: of the entry */
	u8 type;
	u8 hook;
	u8 pf;
	u8 kind; /* enum rule_kind */
	u8 method;
	u8 candidates;
	u8 verdict;
	u8 ct_present;
	u8 ctinfo;
	/* Outside of netfilter: they tell whether the free lost a packet. */
	u8 protocol;
	u8 detail; /* TCP: flags; ICMP: type; a listening socket's: listen.kind */
	u8 empty;  /* TCP: no payload; no protocol: no byte */
	u32 pad;
};

#endif
