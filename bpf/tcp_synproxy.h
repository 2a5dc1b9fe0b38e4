/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_synproxy.h - SYNs that synproxy answers in place of the server. It steals them
 * and ends them with consume_skb, so that no kfree_skb tells them.
 *
 * synproxy_send_client_synack is called for each such SYN, by nftables' expression
 * and x_tables' target both, with the packet still whole. The rule is the one that
 * a probe on expression or target has left a note of.
 */
#ifndef DROPTRACE_TCP_SYNPROXY_H
#define DROPTRACE_TCP_SYNPROXY_H

#include "attribute.h"
#include "ct_entry.h"
#include "ct_record.h"
#include "losses.h"
#include "probes.h"

/* Copies what a probe left about this packet; synproxy may yet drop it. */
__noinline int step_peek_note(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct note *n;

	if (!s)
		return 0;
	s->note.kind = 0;
	s->state = 0;
	n = bpf_map_lookup_elem(&notes, &s->skb);
	if (!n || bpf_ktime_get_ns() - n->time > NOTE_LIFE_NS)
		return 0;
	s->note = *n;
	s->state = n->state;
	return 0;
}

/*
 * The rule's handle alone: to look for its chain without bpf_loop would take the
 * verifier longer than all else. Go finds the rules with that handle.
 */
__noinline int step_name_handle(u32 level)
{
	struct scratch *s = get_scratch(level);
	const struct config *c = get_config();
	struct rule_info *r;

	if (!s || !c || !s->note.rule)
		return 0;
	r = &s->event.rule;
	r->rule_handle = rule_handle(&c->layout, s->note.rule);
	r->address = s->note.rule;
	r->method = METHOD_NFT_EXPRESSION;
	r->kind = r->rule_handle ? RULE_NFT : RULE_NONE;
	return 0;
}

static __always_inline void name_thief(u32 level, struct scratch *s, bool loops)
{
	s->kind = SITE_OTHER;
	s->site.kind = 0;
	step_peek_note(level);
	if (!s->state)
		return;
	step_scan_hooks(level);
	if (s->note.kind == NOTE_XT_TARGET)
		step_find_target(level);
	else if (loops)
		step_attribute_nft(level);
	else
		step_name_handle(level);
}

static __always_inline void send_stolen(u32 level, struct scratch *s)
{
	struct event *e = &s->event;

	e->bytes.front = EVENT_SHORT;
	if (!step_filter(level)) {
		count(COUNT_FILTERED);
	} else if (bpf_ringbuf_output(&events, e, EVENT_SHORT, 0)) {
		count(COUNT_LOST);
		step_count_loss(level);
	} else {
		count(COUNT_DELIVERED);
	}
}

static __always_inline void stolen(u64 address, bool loops)
{
	struct sk_buff *skb = (void *)address;
	struct scratch *s;
	u32 level = 0;

	s = begin_record(&level);
	if (!s)
		return;
	count(COUNT_SEEN);
	s->event.type = EVENT_STOLEN;
	s->skb = address;
	read_skb_slow(&s->event, address);
	read_nfct(&s->event.ct, BPF_CORE_READ(skb, _nfct));
	name_thief(level, s, loops);
	send_stolen(level, s);
	end_record(level);
}

/* void synproxy_send_client_synack(net, skb, th, opts), and its like for IPv6 */
SEC("fentry/synproxy_send_client_synack")
int fentry_synack(u64 *ctx)
{
	stolen(argument(ctx, 1), true);
	return 0;
}

/* Where there is no fentry bpf_loop may be missing too; registers told the rule. */
SEC("kprobe/synproxy_send_client_synack")
int kprobe_synack(struct pt_regs *ctx)
{
	stolen(REGS_PARM2(ctx), false);
	return 0;
}

/* void nft_synproxy_eval(expr, regs, pkt) */
SEC("fentry/nft_synproxy_eval")
int fentry_synproxy(u64 *ctx)
{
	note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT);
	return 0;
}

SEC("kprobe/nft_synproxy_eval")
int kprobe_synproxy(struct pt_regs *ctx)
{
	u64 expr = REGS_PARM1(ctx);

	note_expression(expr, REGS_PARM3(ctx), rule_in_registers(ctx, expr), NOTE_NFT);
	return 0;
}

#endif
