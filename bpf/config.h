/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * config.h - what Go tells the kernel side, and the maps that carry it.
 *
 * It lies in maps rather than in .rodata where it may change while droptrace
 * runs: nf_tables can be loaded after the start, tables are replaced.
 */
#ifndef DROPTRACE_CONFIG_H
#define DROPTRACE_CONFIG_H

#include "event.h"
#include "read.h"

#define SITE_RANGES 24	 /* functions in which packets are freed: see site_kind */
#define MAX_HOOKS 24	 /* hook entries looked at on one hook */
#define XT_MAX_TABLES 1024
#define OLD_XT_TABLES 8 /* filter mangle raw security nat, and to spare */
#define NO_SLOT (-1)
/* THREAD_SIZE, without KASAN. */
#if defined(__TARGET_ARCH_arm64)
const volatile u64 stack_size = 16384; /* more with pages of 64 KiB: Go knows */
#else
#define stack_size 16384
#endif

const volatile bool has_reason = 0; /* kfree_skb's third argument: 5.17 and later */
const volatile bool has_receiver = 0; /* its fourth, struct sock *rx_sk: 6.11 and later */

/* Where a location lies. */
enum site_kind {
	SITE_OTHER = 0,
	SITE_HOOK_SLOW = 1,   /* a hook returned NF_DROP */
	SITE_NFT = 2,	      /* nft_do_chain freed in place */
	SITE_QUEUE = 3,	      /* nf_queue failed */
	SITE_NETFILTER = 4,   /* another netfilter function: synproxy, nfqueue, bridge */
	SITE_TCP = 5,	      /* TCP, where a listening socket leaves what came to it */
	SITE_COOKIE = 6,      /* the same of answers to SYN cookies, 6.9 and later */
	SITE_LIST = 7,	      /* frees lists and queues; its caller shows whose they are */
};

struct site_range {
	u64 start;
	u64 end;
	u32 kind;
	u32 pad;
};

/* What a hook function can do; by its address in hook_fns. */
enum hook_class {
	HOOK_OTHER = 0, /* unknown: may drop */
	HOOK_XT = 1,
	HOOK_NFT = 2,
	HOOK_NAT = 3,	   /* priv leads to more hook entries */
	HOOK_HARMLESS = 4, /* never returns NF_DROP (defrag steals) */
	HOOK_CONNTRACK = 5, /* where packets get their conntrack entry */
	HOOK_CONFIRM = 6,   /* where the entry goes into the table */
};

/* Offsets of module types: from module BTF, or known for 5.10. */
struct layout {
	u16 chain_blob[2]; /* blob_gen_0/1; rules_gen_0/1 before 5.17 */
	u16 chain_rules;
	u16 chain_list;
	u16 chain_table;
	u16 chain_handle;
	u16 chain_name;
	u16 table_chains;
	u16 table_handle;
	u16 table_family;
	u16 table_name;
	s16 chain_policy; /* nft_base_chain.policy seen from .chain */
	u16 rule_blob;	  /* 1: rules lie in a blob (nft_rule_dp) */
	u16 last_chain;	  /* nft_rule_dp_last.chain; 0: no such trailer */
	u16 ops_size;	  /* nft_expr_ops.size */
	u16 pktinfo_state;
	u16 xt_private; /* xt_table */
	u16 xt_af;
	u16 xt_name;
	u16 pad0;
	u16 targinfo;	     /* xt_action_param */
	u16 param_state;
	/*
	 * 5.10 only, where hooks carry no table: offsets in struct net of the
	 * pointers for ip and ip6, by number: see hook_fns. 0: none.
	 */
	u16 net_tables[2][OLD_XT_TABLES];
};

struct config {
	struct site_range sites[SITE_RANGES];
	struct layout layout;
	u64 text_start, text_end;	/* kernel image */
	u64 modules_start, modules_end; /* module text, loosely */
	u32 possible_cpus;
	u32 nft_in_place;     /* nft frees by itself: it never returns NF_DROP */
	u32 nft_evals_hooked; /* every drop-yielding eval has a probe */
	u32 ready;	      /* calibrated: drops are recorded from now on */
	u32 ct_hooked;	      /* enum ct_hooked */
	/* Indexes into struct linux_mib, from the kernel's BTF; 0: not known. */
	u32 mib_listen_drops;
	u32 mib_listen_overflows;
	u32 mib_queue_full;
	u32 mib_deferred;
	u32 listen_hooked; /* tcp_conn_request has a probe */
};

/*
 * Where a compiler keeps a variable at one call of kfree_skb: an index into the
 * window of stack words, counted from its start. Found by calibration.
 */
struct frame_site {
	s16 verdict;  /* nft, where kind is FRAME_EITHER: struct nft_regs */
	s16 rule;     /* nft: const struct nft_rule_dp * */
	s16 chain;    /* nft: the base chain */
	s16 pkt;      /* nft: const struct nft_pktinfo * */
	s16 state;    /* nf_hook_slow: struct nf_hook_state * */
	s16 entries;  /* nf_hook_slow: const struct nf_hook_entries * */
	s16 index;    /* nf_hook_slow: s, see index_kind */
	u8 index_kind; /* 0: s itself; 1: &entries->hooks[s] + index_bias */
	u8 kind;      /* enum frame_kind */
	s32 index_bias;
};

/*
 * Another program on the tracepoint puts a frame between ctx and the call, which
 * shows in the distance: words from ctx to the return address.
 */
struct frame_key {
	u64 location;
	s64 distance;
};

enum frame_kind {
	FRAME_RULE = 1,
	FRAME_POLICY = 2,
	FRAME_HOOK = 3,	  /* nf_hook_slow */
	FRAME_EITHER = 4, /* a rule or a policy: GCC may make one call of the two */
};

/* Fates of drops, per CPU; Go sums them. tracer.Counts mirrors the order. */
enum count {
	COUNT_SEEN,
	COUNT_FILTERED,
	COUNT_LOST,
	COUNT_DELIVERED,
	COUNT_MEMBERS, /* fragments of a head already told */
	COUNT_NESTED,  /* runs deeper than the scratch levels */
	COUNT_UNDECIDED, /* filtered too: the expression looks at bytes that cannot be read */
	/* Conntrack failures that are no drops: not part of the above. */
	COUNT_CT_SEEN,
	COUNT_CT_FILTERED,
	COUNT_CT_LOST,
	COUNT_CT_DELIVERED,
	COUNT_MAX,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct config);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_MAX);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u64);
	__type(value, u32);
} hook_fns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32);
	__type(key, struct frame_key);
	__type(value, struct frame_site);
} frame_sites SEC(".maps");

/* The namespace that calibration drops packets in: its inode, 0 for none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} calibration_netns SEC(".maps");

/* Its records have a ring of their own: a flood of drops must not crowd them out. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} calibration_records SEC(".maps");

/* Resized by Go to --buffer-size. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} events SEC(".maps");

static __always_inline void count(u32 which)
{
	u64 *n = bpf_map_lookup_elem(&counts, &which);

	if (n)
		__sync_fetch_and_add(n, 1); /* interrupts count too */
}

static __always_inline const struct config *get_config(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

#endif
