//go:build ignore

// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * droptrace.bpf.c - the programs. Only kfree_skb's emits drops; the others
 * leave notes for it.
 */
#include "conntrack.h"
#include "filter.h"
#include "frame.h"
#include "hooks.h"
#include "nft.h"
#include "notes.h"
#include "packet.h"
#include "probes.h"
#include "xtables.h"

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile bool has_reason = 0; /* kfree_skb's third argument: 5.17 and later */
const volatile bool with_stack = 0;
const volatile struct filter_config filter = {};

/* Conditions that only attribution can answer. */
#define FILTER_NEEDS_HOOK (FILTER_ANY_IFACE | FILTER_HOOK | FILTER_NETFILTER)
#define LEVELS 3 /* a softirq may interrupt a run before 6.x; kernels since skip it */
#define CALIBRATION_BYTES 48 /* of memory behind each word: holds a hook state */
#define CALIBRATION_HOOKS 8

/* What tracer/calibrate works on; mirrored there. */
struct calibration {
	struct event event;
	u64 start;
	u64 state;
	u64 entries;
	struct hook_entry hooks[CALIBRATION_HOOKS];
	u64 words[WINDOW_WORDS];
	u8 memory[WINDOW_WORDS][CALIBRATION_BYTES];
};

/*
 * One run's memory. Pointers pass through it as numbers: the steps below are
 * global functions, which the verifier checks each on its own and which take
 * nothing but numbers on 5.10.
 */
struct scratch {
	struct event event;
	struct window window;
	struct hook_scan scan;
	struct xt_walk walk;
	struct filter_work filter_work;
	struct note note;
	struct frame_site site; /* kind 0: not calibrated */
	u64 context;		/* ctx */
	u64 skb;
	u64 net;
	u64 state;
	u64 entries;
	u64 rule;  /* nft: header of a rule */
	u64 chain; /* nft: the chain it stands in */
	u32 kind; /* enum site_kind */
	u32 calibrating;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEVELS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct calibration);
} calibrations SEC(".maps");

struct per_cpu_state {
	u32 level;   /* runs of the emitter under way */
	u32 pad;
	u64 member;  /* the next fragment to be freed with its head */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct per_cpu_state);
} per_cpu SEC(".maps");

static __always_inline struct scratch *get_scratch(u32 level)
{
	return bpf_map_lookup_elem(&scratches, &level);
}

/*
 * Fragments of a reassembled datagram are freed right behind their head, one
 * call each: the same lost packet.
 */
static __always_inline bool is_member(struct per_cpu_state *p, struct sk_buff *skb)
{
	u64 expected = p->member;

	p->member = 0;
	if (expected != (u64)skb)
		return false;
	p->member = (u64)BPF_CORE_READ(skb, next);
	return true;
}

static __always_inline void expect_members(struct per_cpu_state *p, struct sk_buff *skb)
{
	struct skb_shared_info *shared;

	shared = (void *)(BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, end));
	p->member = (u64)BPF_CORE_READ(shared, frag_list);
}

static __always_inline u32 site_kind(const struct config *c, u64 location)
{
	for (int i = 0; i < SITE_RANGES; i++)
		if (location > c->sites[i].start && location <= c->sites[i].end)
			return c->sites[i].kind;
	return SITE_OTHER;
}

/* Window and calibration of the call that frees. */
__noinline int step_read_frame(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct frame_site *site;
	struct frame_key key = {};

	if (!s)
		return 0;
	read_near(&s->window, s->context);
	s->site.kind = 0;
	key.location = s->event.location;
	key.distance = window_distance(&s->window, s->event.location);
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
	for (int i = 0; i < WINDOW_WORDS; i++) {
		s->state = s->window.words[i];
		if (good_state(s, s->net))
			return 0;
	}
	s->state = 0;
	return 0;
}

/* The same for nft_do_chain: struct nft_pktinfo {skb, state} gives both. */
__noinline int step_search_pktinfo(u32 level)
{
	struct scratch *s = get_scratch(level);

	if (!s)
		return 0;
	for (int i = BELOW_WORDS + ARGUMENT_WORDS; i < WINDOW_WORDS - 1; i++) {
		if (s->window.words[i] != s->skb)
			continue;
		s->state = s->window.words[i + 1];
		if (good_state(s, s->net))
			return 0;
	}
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
	s->entries = 0;
	if (s->site.kind == FRAME_HOOK && s->site.entries != NO_SLOT)
		s->entries = window_word(&s->window, s->site.entries);
	if (!s->entries)
		s->entries = hook_entries(net, e->pf, e->hook, s->state);
	__builtin_memset(&s->scan, 0, sizeof(s->scan));
	scan_entries(&s->scan, net, s->entries, e->pf);
	if (s->scan.nat_entries)
		scan_entries(&s->scan, net, s->scan.nat_entries, e->pf);
	if (s->scan.nft)
		e->flags |= FLAG_NFT_HERE;
	if (s->scan.policy)
		e->flags |= FLAG_NFT_POLICY;
	return 0;
}

static __always_inline int find_chain(u32 level, bool loops)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();

	if (s && c)
		s->chain = rule_chain(&s->scan, &c->layout, s->rule, loops);
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

	if (!take_note(note, s->skb, s->state) || note->kind == NOTE_XT_TARGET)
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
	u8 policy = 1;

	bpf_probe_read_kernel(&policy, sizeof(policy), (void *)(chain + c->layout.chain_policy));
	if (policy != NF_DROP)
		return;
	r->kind = RULE_NFT_POLICY;
	r->method = method;
	name_chain(r, &c->layout, chain);
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
	} else if (c->nft_evals_hooked && s->scan.policy == 1) {
		attribute_policy(s, c, s->scan.policy_chain, METHOD_POLICY_REST);
	}
}

static __always_inline int attribute_nft(u32 level, bool loops)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();

	if (!s || !c)
		return 0;
	if (attribute_expression(level, s, c, loops)) {
	} else if (s->kind == SITE_NFT) {
		attribute_in_place(level, s, c, loops);
	} else if (c->nft_evals_hooked && s->scan.known) {
		/* nft returned NF_DROP: with no expression to blame it is the policy */
		attribute_policy(s, c, s->scan.dropper.priv, METHOD_POLICY_REST);
	}
	s->event.rule.generation = nft_generation((void *)s->net);
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

static __always_inline int compare_table(u32 level, u64 table, bool loops)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();

	if (!s || !c)
		return 0;
	return find_entry(&s->event, c, &s->walk, table, loops);
}

__noinline int step_compare_table(u32 level, u64 table)
{
	return compare_table(level, table, true);
}

__noinline int step_compare_table_unrolled(u32 level, u64 table)
{
	return compare_table(level, table, false);
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
		break;
	default:
		scan->xt = 0;
		s->event.rule.kind = RULE_HOOK;
		s->event.rule.method = METHOD_HOOK;
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

/* Where the frame did not tell: the one hook that is left when rules cannot be it. */
static __always_inline void attribute_rest(struct scratch *s)
{
	const struct config *c = get_config();
	const struct hook_scan *scan = &s->scan;

	if (!c || scan->known || scan->xt || scan->nat_entries || scan->other != 1)
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
		if (hook_class(h.fn) == HOOK_CONNTRACK)
			s->event.flags |= FLAG_CONNTRACK;
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
	step_find_state(level);
	if (!s->state)
		return;
	/* A rule that leads to its chain by itself needs nothing of the hook. */
	if (s->site.kind == FRAME_RULE && direct_chain())
		s->net = (u64)use_state(&s->event, s->state);
	else
		step_scan_hooks(level);
	step_find_conntrack(level);
	if (s->kind == SITE_HOOK_SLOW)
		attribute_hook(level, s, loops);
	else if (s->kind == SITE_NFT && loops)
		step_attribute_nft(level);
	else if (s->kind == SITE_NFT)
		step_attribute_nft_unrolled(level);
}

/* A packet of our own in the calibration namespace: the frame goes to Go whole. */
__noinline int step_calibrate(u32 level)
{
	struct scratch *s = get_scratch(level);
	u32 zero = 0;
	struct calibration *out = bpf_map_lookup_elem(&calibrations, &zero);

	if (!s || !out)
		return 0;
	if (s->state)
		step_scan_hooks(level);
	out->event = s->event;
	out->event.type = EVENT_CALIBRATION;
	out->start = s->window.start;
	out->state = s->state;
	out->entries = s->entries;
	for (u32 i = 0; i < CALIBRATION_HOOKS; i++)
		read_entry(&out->hooks[i], out->entries, i);
	for (u32 i = 0; i < WINDOW_WORDS; i++) {
		u64 word = s->window.words[i];

		out->words[i] = word;
		bpf_probe_read_kernel(out->memory[i], CALIBRATION_BYTES,
				      is_kernel_address(word) ? (void *)word : NULL);
	}
	bpf_ringbuf_output(&events, out, sizeof(*out), 0);
	return 0;
}

__noinline int step_filter(u32 level)
{
	struct scratch *s = get_scratch(level);

	return s && filter_match(&s->event, &s->filter_work, &filter);
}

static __always_inline void emit(struct scratch *s, void *ctx)
{
	struct event *e = &s->event;
	u64 size = sizeof(*e) - sizeof(e->stack);

	if (with_stack && bpf_get_stack(ctx, e->stack, sizeof(e->stack), 0) > 0) {
		e->flags |= FLAG_STACK;
		size = sizeof(*e);
	}
	if (bpf_ringbuf_output(&events, e, size, 0))
		count(COUNT_LOST);
	else
		count(COUNT_DELIVERED);
}

static __always_inline void start_event(struct scratch *s, u64 *ctx)
{
	struct event *e = &s->event;

	__builtin_memset(e, 0, sizeof(*e) - sizeof(e->stack));
	e->type = EVENT_DROP;
	e->hook = NO_HOOK;
	e->time = bpf_ktime_get_ns();
	e->location = ctx[1];
	if (has_reason)
		e->reason = ctx[2];
	e->cpu = bpf_get_smp_processor_id();
	s->context = (u64)ctx;
	s->skb = ctx[0];
	s->state = 0;
	s->entries = 0;
}

static __always_inline void handle(u32 level, struct scratch *s, struct per_cpu_state *p, u64 *ctx,
				   bool loops)
{
	const struct config *c = get_config();
	struct sk_buff *skb = (void *)ctx[0];
	bool early;

	if (!c)
		return;
	start_event(s, ctx);
	s->net = (u64)read_packet(&s->event, skb);
	read_conntrack(&s->event, skb);
	s->kind = site_kind(c, s->event.location);
	s->calibrating = c->calibration_netns && s->event.netns == c->calibration_netns;
	if (s->calibrating) {
		step_read_frame(level);
		step_find_state(level);
		step_calibrate(level);
		return;
	}
	if (!c->ready)
		return;
	count(COUNT_SEEN);
	if (is_member(p, skb)) {
		count(COUNT_MEMBERS);
		return;
	}
	if (s->event.flags & FLAG_HEAD_FRAGS)
		expect_members(p, skb);
	/* Counters of legacy rules must be followed through every drop of theirs. */
	early = s->kind != SITE_HOOK_SLOW && !(filter.want & FILTER_NEEDS_HOOK);
	if (early && !step_filter(level)) {
		count(COUNT_FILTERED);
		return;
	}
	if (s->kind)
		attribute(level, s, loops);
	if (!early && !step_filter(level)) {
		count(COUNT_FILTERED);
		return;
	}
	read_task(&s->event, *(volatile u64 *)&s->context);
	emit(s, ctx);
}

/*
 * The callers' variables may live in registers that every function down to here
 * left alone: touching R6 to R9 makes the JIT's prologue push them into reach.
 */
static __always_inline void push_registers(void)
{
	asm volatile("r6 = 0; r7 = 0; r8 = 0; r9 = 0" ::: "r6", "r7", "r8", "r9");
}

static __always_inline int on_kfree_skb(u64 *ctx, bool loops)
{
	u32 zero = 0, level;
	struct per_cpu_state *p = bpf_map_lookup_elem(&per_cpu, &zero);
	struct scratch *s;

	push_registers();
	if (!p)
		return 0;
	level = p->level;
	s = get_scratch(level);
	if (!s) {
		count(COUNT_NESTED);
		return 0;
	}
	p->level = level + 1;
	handle(level, s, p, ctx, loops);
	p->level = level;
	return 0;
}

SEC("tp_btf/kfree_skb")
int kfree_skb(u64 *ctx)
{
	return on_kfree_skb(ctx, true);
}

/* Attached for a moment, so that calibration sees frames beside another program. */
SEC("tp_btf/kfree_skb")
int companion(u64 *ctx)
{
	return 0;
}

/* For kernels without bpf_loop (before 5.17). */
SEC("tp_btf/kfree_skb")
int kfree_skb_unrolled(u64 *ctx)
{
	return on_kfree_skb(ctx, false);
}

/* int nf_hook_slow(skb, state, entries, s) */
SEC("fentry/nf_hook_slow")
int fentry_hook_slow(u64 *ctx)
{
	leave_hook_note(ctx[0], ctx[1], ctx[2]);
	return 0;
}

SEC("kprobe/nf_hook_slow")
int kprobe_hook_slow(struct pt_regs *ctx)
{
	leave_hook_note(REGS_PARM1(ctx), REGS_PARM2(ctx), REGS_PARM3(ctx));
	return 0;
}

/* void nft_*_eval(expr, regs, pkt) */
SEC("fentry/nft_immediate_eval")
int fentry_immediate(u64 *ctx)
{
	if (immediate_drops(ctx[0]))
		note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT);
	return 0;
}

SEC("kprobe/nft_immediate_eval")
int kprobe_immediate(struct pt_regs *ctx)
{
	u64 expr = REGS_PARM1(ctx);

	if (immediate_drops(expr))
		note_expression(expr, REGS_PARM3(ctx), rule_in_registers(ctx, expr), NOTE_NFT);
	return 0;
}

/* Attached to each nft_reject_*_eval: no way out but the drop. */
SEC("fentry/nft_reject_ipv4_eval")
int fentry_reject(u64 *ctx)
{
	note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT_REJECT);
	return 0;
}

SEC("kprobe/nft_reject_ipv4_eval")
int kprobe_reject(struct pt_regs *ctx)
{
	u64 expr = REGS_PARM1(ctx);

	note_expression(expr, REGS_PARM3(ctx), rule_in_registers(ctx, expr), NOTE_NFT_REJECT);
	return 0;
}

/* Attached to evals that drop or not: nft_lookup_eval, nft_target_eval_xt, ... */
SEC("fexit/nft_lookup_eval")
int fexit_eval(u64 *ctx)
{
	if (verdict_is_drop(ctx[1]))
		note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT);
	return 0;
}

SEC("kprobe/nft_lookup_eval")
int kprobe_eval(struct pt_regs *ctx)
{
	leave_pending(REGS_PARM1(ctx), REGS_PARM2(ctx), REGS_PARM3(ctx));
	return 0;
}

SEC("kretprobe/nft_lookup_eval")
int kretprobe_eval(struct pt_regs *ctx)
{
	finish_pending(ctx);
	return 0;
}

/* unsigned int reject_tg(skb, par), reject_tg6 */
SEC("fentry/reject_tg")
int fentry_xt_reject(u64 *ctx)
{
	note_target(argument(ctx, 0), argument(ctx, 1));
	return 0;
}

SEC("kprobe/reject_tg")
int kprobe_xt_reject(struct pt_regs *ctx)
{
	note_target(REGS_PARM1(ctx), REGS_PARM2(ctx));
	return 0;
}

/* Asked by Go, inside a namespace, before its table is tracked. */
struct xt_query {
	u32 pf;
	u32 hook;
	char name[32];
	u64 table; /* answer: struct xt_table * */
	u64 private;
	u32 size;
	u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct xt_query);
} xt_queries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hook_scan);
} xt_query_scan SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct xt_walk);
} xt_query_walk SEC(".maps");

static __always_inline bool same_name(const char *a, const char *b)
{
	for (int i = 0; i < 32; i++) {
		if (a[i] != b[i])
			return false;
		if (!a[i])
			return true;
	}
	return true;
}

/* Finds the table of xt_queries in the namespace of the task that runs this. */
SEC("raw_tp/droptrace_xt_find")
int xt_find(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net = BPF_CORE_READ(task, nsproxy, net_ns);
	const struct config *c = get_config();
	u32 zero = 0;
	struct xt_query *q = bpf_map_lookup_elem(&xt_queries, &zero);
	struct hook_scan *scan = bpf_map_lookup_elem(&xt_query_scan, &zero);
	struct rule_info r = {};

	if (!q || !c || !scan)
		return 0;
	__builtin_memset(scan, 0, sizeof(*scan));
	scan_entries(scan, net, hook_entries(net, q->pf, q->hook, 0), q->pf);
	if (scan->nat_entries)
		scan_entries(scan, net, scan->nat_entries, q->pf);
	for (u32 i = 0; i < MAX_XT_TABLES; i++) {
		u64 table = scan->xt_table[i];

		if (i >= scan->xt)
			break;
		name_xt_table(&r, &c->layout, table);
		if (!same_name(r.table, q->name))
			continue;
		q->table = table;
		q->private = read_u64(table + c->layout.xt_private);
		bpf_probe_read_kernel(&q->size, 4, (void *)(q->private + XT_INFO_SIZE));
		bpf_probe_read_kernel(&q->number, 4, (void *)(q->private + XT_INFO_NUMBER));
		return 0;
	}
	return 0;
}

static __always_inline void learn_counter(const struct xt_tracked *t, u32 i, u32 cpus)
{
	u32 index = t->first + i;
	struct xt_watched *w = bpf_map_lookup_elem(&xt_watch, &index);
	u64 entry, at;

	if (!w)
		return;
	entry = t->private + XT_INFO_ENTRIES + w->offset;
	at = entry + (t->af == NFPROTO_IPV6 ? IP6T_ENTRY_COUNTERS : IPT_ENTRY_COUNTERS);
	w->counter = cpus > 1 ? read_u64(at) : at;
}

static __always_inline int baseline(u64 table, u32 from, u32 to)
{
	struct xt_tracked *t = bpf_map_lookup_elem(&xt_tables, &table);
	const struct config *c = get_config();
	u32 zero = 0;
	struct xt_walk *w = bpf_map_lookup_elem(&xt_query_walk, &zero);

	if (!t || !c || !w)
		return 0;
	start_walk(w, t, c->possible_cpus);
	for (u32 i = 0; i < XT_MAX_WATCHED_UNROLLED; i++) {
		if (from + i >= to)
			break;
		learn_counter(t, from + i, c->possible_cpus);
		compare_counter(from + i, w);
	}
	return 0;
}

/*
 * Run on each CPU in turn: takes the counters as they are for the values to
 * compare with. Arguments: the table, and which of its entries.
 */
SEC("raw_tp/droptrace_xt_baseline")
int xt_baseline(u64 *ctx)
{
	return baseline(ctx[0], ctx[1], ctx[2]);
}
