/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ct_fail.h - why a packet failed to get its conntrack entry.
 *
 * What the drop itself tells: the hook function that dropped, and which of this
 * CPU's counters (conntrack -S) moved since they were last looked at. Probes on
 * functions that run only when something fails leave notes that tell more
 * (ct_probe.h).
 */
#ifndef DROPTRACE_CT_FAIL_H
#define DROPTRACE_CT_FAIL_H

#include "attribute.h"
#include "ct_extension.h"

#define MAX_CT_NOTES 8192
#define MAX_CT_BASELINES 16384
#define STACK_SHIFT 14 /* THREAD_SIZE; stacks of interrupts are as large, and aligned */
#define CALL_DEPTH 8192 /* from nf_hook_slow's hook state down to a conntrack function */
#define IPS_CONFIRMED (1 << 3)
#define IPS_DYING (1 << 9)

const volatile bool conntrack_only = 0; /* droptrace conntrack */
const volatile bool show_resolved = 0;	/* clashes that lost nothing are wanted too */

/* More of what enum ct_saw names. */
enum {
	CT_SAW_REFUSED = 6,	 /* a helper complained: reason */
	CT_SAW_OTHER_DEVICE = 7, /* masqueraded for another device than it leaves by */
};

/* Values of ct_failure.at_hook. */
enum {
	CT_AT_HOOK = 1,
	CT_AT_HOOK_HELPED = 2, /* and the entry has a helper */
};

/* Left by a probe, taken by the drop. The key is the skb, or the stack's number
 * where the function had no skb at hand. */
struct ct_note {
	u64 time;
	u64 net;
	u64 stack;
	u64 ct; /* CT_SAW_CLASH: the loser; CT_SAW_REFUSED: the packet's */
	u64 packet; /* CT_SAW_INVALID: packet_words */
	u32 saw;
	u32 pad;
	struct ct_info other;
	char reason[CT_REASON_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CT_NOTES);
	__type(key, u64);
	__type(value, struct ct_note);
} ct_notes SEC(".maps");

u64 newest_ct_note = 0; /* as newest_note */

static __always_inline void leave_ct_note(u64 key, const struct ct_note *note)
{
	newest_ct_note = note->time;
	bpf_map_update_elem(&ct_notes, &key, note, BPF_ANY);
}

struct ct_baseline_key {
	u32 netns; /* inode */
	u32 cpu;
};

struct ct_baseline {
	u32 counter[CT_COUNTERS];
};

/*
 * The counters when they were last looked at. Go fills in those that a namespace
 * had when droptrace started; a namespace that is not here was born with zeros.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CT_BASELINES);
	__type(key, struct ct_baseline_key);
	__type(value, struct ct_baseline);
} ct_baselines SEC(".maps");

static __always_inline bool read_ct_counters(struct ct_baseline *out, struct net *net)
{
	struct ip_conntrack_stat *stat = NULL;
	u64 cpu = this_cpu_offset();

	/* Of the later ones 0 is true where they are missing. */
	if (!bpf_core_field_exists(stat->invalid) || !bpf_core_field_exists(stat->insert_failed) ||
	    !bpf_core_field_exists(stat->drop) || !bpf_core_field_exists(stat->early_drop))
		return false;
	stat = READ(net, ct.stat);
	if (!stat || !cpu)
		return false;
	stat = (void *)((u64)stat + cpu);
	out->counter[CT_INVALID] = READ(stat, invalid);
	out->counter[CT_INSERT_FAILED] = READ(stat, insert_failed);
	out->counter[CT_DROP] = READ(stat, drop);
	out->counter[CT_EARLY_DROP] = READ(stat, early_drop);
	if (bpf_core_field_exists(stat->clash_resolve))
		out->counter[CT_CLASH_RESOLVE] = READ(stat, clash_resolve);
	if (bpf_core_field_exists(stat->chaintoolong))
		out->counter[CT_CHAIN_TOO_LONG] = READ(stat, chaintoolong);
	return true;
}

/* What moved on this CPU; what is now is the next one's baseline. */
__noinline int step_ct_counters(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct ct_baseline_key key = {};
	struct ct_baseline now = {}, *last;

	if (!s || !read_ct_counters(&now, (void *)s->net))
		return 0;
	key.netns = s->event.netns;
	key.cpu = bpf_get_smp_processor_id();
	last = bpf_map_lookup_elem(&ct_baselines, &key);
	if (!last && bpf_map_update_elem(&ct_baselines, &key, &now, BPF_ANY))
		return 0; /* what cannot be kept is never compared */
	for (int i = 0; i < CT_COUNTERS; i++)
		s->event.failure.moved[i] = now.counter[i] - (last ? last->counter[i] : 0);
	s->event.failure.counted = 1;
	if (last)
		*last = now;
	return 0;
}

static __always_inline u64 stack_number(u64 address) { return address >> STACK_SHIFT; }

/* Ports and what follows: NAT leaves packets alone that conntrack calls invalid. */
static __always_inline u64 packet_words(struct sk_buff *skb)
{
	u64 words = 0;

	bpf_probe_read_kernel(&words, sizeof(words), READ(skb, head) + READ(skb, transport_header));
	return words;
}

/*
 * Whether a note is this packet's: skb addresses come again. A clash's and a helper's
 * name the entry that the packet still has. One by stack was left below the hook state
 * that the packet travels with, where nothing else can have run meanwhile. A complaint
 * was of a packet with this one's transport header.
 */
static __always_inline bool own_note(const struct ct_note *n, const struct scratch *s)
{
	struct sk_buff *skb = (void *)s->skb;

	if (!is_recent(n->time, s->event.time))
		return false;
	switch (n->saw) {
	case CT_SAW_CLASH:
	case CT_SAW_REFUSED:
		return s->kind == SITE_HOOK_SLOW &&
		       n->ct == (READ(skb, _nfct) & ~NFCT_INFOMASK);
	case CT_SAW_FULL:
		return s->kind == SITE_HOOK_SLOW && n->net == s->net && n->stack < s->state &&
		       s->state - n->stack < CALL_DEPTH;
	}
	return s->event.ct.present == CT_ABSENT && n->packet == packet_words(skb);
}

__noinline int step_take_ct_note(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct ct_failure *f;
	struct ct_note *n;
	u64 key;

	if (!s || !is_recent(newest_ct_note, s->event.time))
		return 0;
	f = &s->event.failure;
	key = s->skb;
	n = bpf_map_lookup_elem(&ct_notes, &key);
	if (!n && s->event.ct.present == CT_ABSENT) {
		key = stack_number(s->state);
		n = bpf_map_lookup_elem(&ct_notes, &key);
	}
	if (!n)
		return 0;
	if (own_note(n, s)) {
		f->saw = n->saw;
		f->other = n->other;
		__builtin_memcpy(f->reason, n->reason, sizeof(f->reason));
	}
	bpf_map_delete_elem(&ct_notes, &key);
	return 0;
}

/* Whether one of conntrack's hook functions returned the NF_DROP. */
static __always_inline bool dropped_by_conntrack(const struct scratch *s)
{
	u32 class;

	if (s->event.rule.kind != RULE_HOOK)
		return false;
	class = hook_class(s->event.hook_fn);
	return class == HOOK_CONNTRACK || class == HOOK_CONFIRM;
}

/* Past conntrack and without an entry: INVALID. */
static __always_inline bool is_invalid(const struct event *e)
{
	return e->flags & FLAG_CONNTRACK && e->ct.present == CT_ABSENT &&
	       (e->pf == NFPROTO_IPV4 || e->pf == NFPROTO_IPV6 || e->pf == NFPROTO_INET) &&
	       (e->hook == 1 || e->hook == 2 || e->hook == 4);
}

/*
 * Where the frame does not tell which hook dropped. These counters never move for a
 * packet that passes, and each at its own hooks; insert_failed, which ctnetlink
 * moved too, not since there is chaintoolong (5.15).
 */
static __always_inline bool loss_counted(const struct event *e)
{
	const struct ct_failure *f = &e->failure;
	struct ip_conntrack_stat *stat = NULL;
	bool refused = f->moved[CT_DROP] || f->moved[CT_CHAIN_TOO_LONG];

	if (!f->counted)
		return false;
	if (bpf_core_field_exists(stat->chaintoolong))
		refused |= f->moved[CT_INSERT_FAILED] != 0;
	if (e->hook == 1 || e->hook == 4) /* input, postrouting */
		return e->ct.present == CT_ENTRY && !(e->ct.status & IPS_CONFIRMED) && refused;
	return e->ct.present == CT_ABSENT && f->moved[CT_DROP];
}

/* An entry that NAT may have killed. Where the frame does not tell who dropped, NAT is there. */
static __always_inline bool killed_by_nat(const struct scratch *s)
{
	if (s->kind != SITE_HOOK_SLOW || s->event.ct.present != CT_ENTRY ||
	    !(s->event.ct.status & IPS_DYING))
		return false;
	if (s->scan.known)
		return (s->scan.dropper_class & 0xffff) == HOOK_NAT;
	return s->scan.nat_entries && s->event.rule.kind == RULE_NONE;
}

/*
 * Decides whether this drop is a conntrack failure, and collects what tells why.
 * Counters are looked at only where conntrack may have dropped, so that what
 * they moved by belongs to this packet.
 */
__noinline int step_ct_failure(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct event *e;
	bool failed;

	if (!s || !c || !s->state)
		return 0;
	e = &s->event;
	step_take_ct_note(level);
	if (dropped_by_conntrack(s))
		e->failure.at_hook = ct_extension(s->skb, EXT_HELPER) ? CT_AT_HOOK_HELPED : CT_AT_HOOK;
	failed = e->failure.at_hook || e->failure.saw;
	if (s->kind == SITE_HOOK_SLOW &&
	    (e->failure.at_hook || (e->rule.kind == RULE_NONE && !s->scan.known))) {
		step_ct_counters(level);
		failed |= loss_counted(e);
	}
	if (killed_by_nat(s)) {
		if (step_ct_other_device(level))
			e->failure.saw = CT_SAW_OTHER_DEVICE;
		failed |= s->scan.known || e->failure.saw == CT_SAW_OTHER_DEVICE;
	}
	failed |= conntrack_only && is_invalid(e);
	/* Its complaint was a record of its own. */
	if (conntrack_only && e->failure.saw == CT_SAW_INVALID && !e->failure.at_hook)
		failed = false;
	if (!failed)
		return 0;
	e->failure.hooked = c->ct_hooked;
	e->flags |= FLAG_FAILURE;
	return 1;
}

#endif
