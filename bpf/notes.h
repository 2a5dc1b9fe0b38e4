/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * notes.h - what other probes leave for the emitter, kfree_skb.
 *
 * An exit of nf_hook_slow comes too late on some kernels and too early on
 * others, so no other probe reports a drop; it leaves a note.
 */
#ifndef DROPTRACE_NOTES_H
#define DROPTRACE_NOTES_H

#include "netfilter_hooks.h"

#define MAX_NOTES 16384
#define HOOK_NOTES 8		 /* traversals of nf_hook_slow remembered per CPU */
#define NOTE_LIFE_NS 1000000000ULL /* skb addresses are reused: older notes are another packet's */

enum note_kind {
	NOTE_NFT = 1,	    /* expr is the expression that gave NF_DROP */
	NOTE_NFT_REJECT = 2,
	NOTE_XT_TARGET = 3, /* expr is the target's data in the entry */
};

struct note {
	u64 time;
	u64 expr;
	u64 rule;  /* nft: the rule's header, where a register held it */
	u64 state; /* struct nf_hook_state * */
	u32 kind;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_NOTES);
	__type(key, u64); /* skb */
	__type(value, struct note);
} notes SEC(".maps");

/* When the newest was left: most drops need not look for one. */
u64 newest_note = 0;

/* Signed, for another CPU may have left one since. */
static __always_inline bool is_recent(u64 time, u64 now)
{
	return (s64)(now - time) < (s64)NOTE_LIFE_NS;
}

struct hook_note {
	u64 skb;
	u64 state;
	u64 entries;
	u64 time;
};

struct hook_notes {
	u32 next;
	u32 pad;
	struct hook_note note[HOOK_NOTES];
};

/* A ring per CPU: storing costs a packet that passes a dozen instructions. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hook_notes);
} hook_note_rings SEC(".maps");

static __always_inline void leave_hook_note(u64 skb, u64 state, u64 entries)
{
	u32 zero = 0;
	struct hook_notes *n = bpf_map_lookup_elem(&hook_note_rings, &zero);
	struct hook_note *note;

	if (!n)
		return;
	note = &n->note[n->next++ % HOOK_NOTES];
	note->skb = skb;
	note->state = state;
	note->entries = entries;
}

/* The newest note of this skb whose state still lies on our stack. */
static __always_inline u64 take_hook_note(const struct window *w, u64 skb)
{
	u32 zero = 0;
	struct hook_notes *n = bpf_map_lookup_elem(&hook_note_rings, &zero);

	if (!n || !n->next)
		return 0;
	for (u32 i = 1; i <= HOOK_NOTES; i++) {
		struct hook_note *note = &n->note[(n->next - i) % HOOK_NOTES];

		if (note->skb == skb && on_stack(w, note->state))
			return note->state;
	}
	return 0;
}

/* The note of this drop; spent, because skb addresses come again. */
static __always_inline bool take_note(struct note *out, u64 skb, u64 state, u64 now)
{
	struct note *n;

	if (!is_recent(newest_note, now))
		return false;
	n = bpf_map_lookup_elem(&notes, &skb);
	if (!n)
		return false;
	*out = *n;
	bpf_map_delete_elem(&notes, &skb);
	return out->state == state && is_recent(out->time, now);
}

static __always_inline void leave_note(u64 skb, struct note *note)
{
	note->time = bpf_ktime_get_ns();
	newest_note = note->time;
	bpf_map_update_elem(&notes, &skb, note, BPF_ANY);
}

#endif
