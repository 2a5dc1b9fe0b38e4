/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nft_rule.h - from a rule's address to chain and table.
 *
 * A chain's rules lie in one blob, a header of 8 bytes before each (5.17 and
 * later); before, each rule is an object of its own on the chain's list.
 */
#ifndef DROPTRACE_NFT_RULE_H
#define DROPTRACE_NFT_RULE_H

#include "netfilter_hooks.h"

#define MAX_RULE_WALK 16384 /* rules looked over to find a chain's end */
#define SHORT_RULE_WALK 16 /* cheaper than to look the rule up */
#define MAX_KNOWN_RULES 4096 /* that dropped lately */
#define MAX_RULE_WALK_UNROLLED 256 /* without bpf_loop: what the verifier bears */
#define MAX_RULE_EXPRESSIONS 128 /* NFT_RULE_MAXEXPRS */
#define MAX_CHAIN_WALK 4096 /* chains of one table */

/* nft_rule_dp: is_last:1, dlen:12, handle:42 */
#define DP_IS_LAST(v) ((v) & 1)
#define DP_LENGTH(v) (((v) >> 1) & 0xfff)
#define DP_HANDLE(v) (((v) >> 13) & ((1ULL << 42) - 1))
#define DP_HEADER 8

/* struct nft_rule before 5.17: list, then handle:42, genmask:2, dlen:12, udata:1 */
#define OLD_RULE_INFO 16
#define OLD_RULE_HEADER 24
#define OLD_HANDLE(v) ((v) & ((1ULL << 42) - 1))
#define OLD_LENGTH(v) (((v) >> 44) & 0xfff)

static __always_inline void name_table(struct rule_info *r, const struct layout *l, u64 table)
{
	r->table_handle = read_u64(table + l->table_handle);
	r->family = READ_AT(u16, table + l->table_family) & 0x3f; /* u16 family:6 */
	read_name(r->table, sizeof(r->table), read_u64(table + l->table_name));
}

static __always_inline void name_chain(struct rule_info *r, const struct layout *l, u64 chain)
{
	if (!l->chain_table) /* the layout is not known */
		return;
	r->chain_handle = read_u64(chain + l->chain_handle);
	read_name(r->chain, sizeof(r->chain), read_u64(chain + l->chain_name));
	name_table(r, l, read_u64(chain + l->chain_table));
}

struct rule_walk {
	u64 at;	   /* header of the rule looked at */
	u64 chain; /* found at the trailer */
	u32 last_chain;
	u32 bad;
};

/* One step towards the trailer, which names the chain (6.4 and later). */
static long walk_rule(u32 i, void *data)
{
	struct rule_walk *w = data;
	u64 header = READ_AT(u64, w->at);

	if (DP_IS_LAST(header)) {
		w->chain = read_u64(w->at + w->last_chain);
		return 1;
	}
	if (!DP_LENGTH(header)) {
		w->bad = 1;
		return 1;
	}
	w->at += DP_HEADER + DP_LENGTH(header);
	return 0;
}

/*
 * Chains by rule: without it a drop by the first of 10,000 rules would look over
 * all the others, once for each packet. Both the rule's address and what lies
 * there mean the same as long as the ruleset's generation is the same, for memory
 * of a chain is freed only after the next.
 */
struct rule_key {
	u64 rule;
	u64 netns_cookie;
	u64 generation;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_KNOWN_RULES);
	__type(key, struct rule_key);
	__type(value, u64);
} known_chains SEC(".maps");

/* Kernels without generation or cookie (6.4 to 6.11) walk to the trailer each time. */
static __always_inline u64 chain_by_trailer(const struct rule_key *key, u32 last_chain, bool loops)
{
	struct rule_walk w = { .at = key->rule, .last_chain = last_chain };
	bool cached = key->generation && key->netns_cookie;
	u64 *known;

	if (!loops) {
		for (u32 i = 0; i < MAX_RULE_WALK_UNROLLED; i++)
			if (walk_rule(i, &w))
				break;
		return w.bad ? 0 : w.chain;
	}
	bpf_loop(cached ? SHORT_RULE_WALK : MAX_RULE_WALK, walk_rule, &w, 0);
	if (!cached || w.chain || w.bad)
		return w.bad ? 0 : w.chain;
	known = bpf_map_lookup_elem(&known_chains, key);
	if (known)
		return *known;
	bpf_loop(MAX_RULE_WALK, walk_rule, &w, 0);
	if (w.bad || !w.chain)
		return 0;
	bpf_map_update_elem(&known_chains, key, &w.chain, BPF_ANY);
	return w.chain;
}

struct chain_walk {
	u64 rule;
	u64 at;	  /* list node */
	u64 head; /* the table's chains */
	u64 chain;
	struct layout layout;
};

static __always_inline bool blob_holds(u64 blob, u64 rule)
{
	u64 size;

	if (!is_kernel_address(blob))
		return false;
	size = read_u64(blob); /* struct nft_rule_blob {size, data[]} */
	return rule >= blob + sizeof(u64) && rule <= blob + sizeof(u64) + size;
}

/* Which of the two generations is live only nft knows: either will do. */
static __always_inline bool chain_holds(const struct layout *l, u64 chain, u64 rule)
{
	return blob_holds(read_u64(chain + l->chain_blob[0]), rule) ||
	       blob_holds(read_u64(chain + l->chain_blob[1]), rule);
}

static long walk_chain(u32 i, void *data)
{
	struct chain_walk *w = data;
	u64 chain;

	if (w->at == w->head || !is_kernel_address(w->at))
		return 1;
	chain = w->at - w->layout.chain_list;
	if (chain_holds(&w->layout, chain, w->rule)) {
		w->chain = chain;
		return 1;
	}
	w->at = read_u64(w->at);
	return 0;
}

/* The chain of base's table that holds the rule; base itself is looked at first. */
static __always_inline u64 search_table(const struct layout *l, u64 base, u64 rule)
{
	struct chain_walk w = { .rule = rule, .layout = *l };

	if (chain_holds(l, base, rule))
		return base;
	w.head = read_u64(base + l->chain_table) + l->table_chains;
	w.at = read_u64(w.head);
	bpf_loop(MAX_CHAIN_WALK, walk_chain, &w, 0);
	return w.chain;
}

/*
 * Before 5.17 rules are linked: follow the list until a node is a chain's head,
 * which is so where the chain it would lie in belongs to a table of this hook.
 */
struct list_walk {
	u64 at;
	u64 chain;
	u64 tables[4];
	u32 chain_rules;
	u32 chain_table;
};

static long walk_list(u32 i, void *data)
{
	struct list_walk *w = data;
	u64 chain, table;

	w->at = read_u64(w->at);
	if (!is_kernel_address(w->at))
		return 1;
	chain = w->at - w->chain_rules;
	table = read_u64(chain + w->chain_table);
	if (table && (table == w->tables[0] || table == w->tables[1] || table == w->tables[2] ||
		      table == w->tables[3])) {
		w->chain = chain;
		return 1;
	}
	return 0;
}

static __always_inline u64 chain_by_list(const struct hook_scan *scan, const struct layout *l,
					 u64 rule, bool loops)
{
	struct list_walk w = { .at = rule,
			       .chain_rules = l->chain_rules,
			       .chain_table = l->chain_table };

	for (u32 i = 0; i < COUNT_OF(w.tables); i++)
		if (i < scan->nft)
			w.tables[i] = read_u64(scan->nft_chain[i] + l->chain_table);
	if (loops) {
		bpf_loop(MAX_RULE_WALK, walk_list, &w, 0);
		return w.chain;
	}
	for (u32 i = 0; i < MAX_RULE_WALK_UNROLLED; i++)
		if (walk_list(i, &w))
			break;
	return w.chain;
}

struct expr_walk {
	u64 at;
	u64 end; /* header of the rule behind expr's */
	u64 rule;
	u32 ops_size;
};

/* Over the rest of a rule's expressions: a header, unlike one, begins with no
 * pointer (handle:42 leaves its upper bits clear). */
static long walk_expression(u32 i, void *data)
{
	struct expr_walk *w = data;
	u64 ops = read_u64(w->at);
	u32 size;

	if (!is_kernel_address(ops)) {
		w->end = w->at;
		return 1;
	}
	size = READ_AT(u32, ops + w->ops_size);
	if (!size || size > 4096)
		return 1;
	w->at += size;
	return 0;
}

/* From a chain's first rule to the one that ends where expr's does. */
static long walk_to_rule(u32 i, void *data)
{
	struct expr_walk *w = data;
	u64 header = read_u64(w->at);
	u64 next = w->at + DP_HEADER + DP_LENGTH(header);

	if (!header || DP_IS_LAST(header) || next > w->end)
		return 1;
	if (next == w->end) {
		w->rule = w->at;
		return 1;
	}
	w->at = next;
	return 0;
}

/*
 * The ruleset's generation where struct net has it (6.12 and later). Before, it
 * hides behind a module's own number: 0, and Go goes by handles alone.
 */
static __always_inline u32 nft_generation(struct net *net)
{
	if (bpf_core_field_exists(net->nft.base_seq))
		return READ(net, nft.base_seq);
	return 0;
}

static __always_inline u64 rule_handle(const struct layout *l, u64 rule)
{
	u64 header = read_u64(rule + (l->rule_blob ? 0 : OLD_RULE_INFO));

	if (!l->rule_blob)
		return OLD_HANDLE(header);
	return DP_IS_LAST(header) ? 0 : DP_HANDLE(header);
}

#endif
