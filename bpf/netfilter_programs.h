/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * netfilter_programs.h - the probes on netfilter: each leaves a note for the drop.
 */
#ifndef DROPTRACE_NETFILTER_PROGRAMS_H
#define DROPTRACE_NETFILTER_PROGRAMS_H

#include "nft_pending.h"
#include "probes.h"

/* int nf_hook_slow(skb, state, entries, s) */
SEC("fentry/nf_hook_slow")
int fentry_hook_slow(u64 *ctx)
{
	enter_handler();
	leave_hook_note(ctx[0], ctx[1], ctx[2]);
	leave_handler();
	return 0;
}

SEC("kprobe/nf_hook_slow")
int kprobe_hook_slow(struct pt_regs *ctx)
{
	enter_handler();
	leave_hook_note(REGS_PARM1(ctx), REGS_PARM2(ctx), REGS_PARM3(ctx));
	leave_handler();
	return 0;
}

/* void nft_*_eval(expr, regs, pkt) */
SEC("fentry/nft_immediate_eval")
int fentry_immediate(u64 *ctx)
{
	enter_handler();
	if (immediate_drops(ctx[0]))
		note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT);
	leave_handler();
	return 0;
}

SEC("kprobe/nft_immediate_eval")
int kprobe_immediate(struct pt_regs *ctx)
{
	u64 expr = REGS_PARM1(ctx);

	enter_handler();
	if (immediate_drops(expr))
		note_expression(expr, REGS_PARM3(ctx), rule_in_registers(ctx, expr), NOTE_NFT);
	leave_handler();
	return 0;
}

/* Attached to each nft_reject_*_eval: no way out but the drop. */
SEC("fentry/nft_reject_ipv4_eval")
int fentry_reject(u64 *ctx)
{
	enter_handler();
	note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT_REJECT);
	leave_handler();
	return 0;
}

SEC("kprobe/nft_reject_ipv4_eval")
int kprobe_reject(struct pt_regs *ctx)
{
	u64 expr = REGS_PARM1(ctx);

	enter_handler();
	note_expression(expr, REGS_PARM3(ctx), rule_in_registers(ctx, expr), NOTE_NFT_REJECT);
	leave_handler();
	return 0;
}

/* Attached to evals that drop or not: nft_lookup_eval, nft_target_eval_xt, ... */
SEC("fexit/nft_lookup_eval")
int fexit_eval(u64 *ctx)
{
	enter_handler();
	if (verdict_is_drop(ctx[1]))
		note_expression(argument(ctx, 0), argument(ctx, 2), 0, NOTE_NFT);
	leave_handler();
	return 0;
}

SEC("kprobe/nft_lookup_eval")
int kprobe_eval(struct pt_regs *ctx)
{
	enter_handler();
	leave_pending(REGS_PARM1(ctx), REGS_PARM2(ctx), REGS_PARM3(ctx));
	leave_handler();
	return 0;
}

SEC("kretprobe/nft_lookup_eval")
int kretprobe_eval(struct pt_regs *ctx)
{
	enter_handler();
	finish_pending(ctx);
	leave_handler();
	return 0;
}

/* unsigned int reject_tg(skb, par), reject_tg6 */
SEC("fentry/reject_tg")
int fentry_xt_reject(u64 *ctx)
{
	enter_handler();
	note_target(argument(ctx, 0), argument(ctx, 1));
	leave_handler();
	return 0;
}

SEC("kprobe/reject_tg")
int kprobe_xt_reject(struct pt_regs *ctx)
{
	enter_handler();
	note_target(REGS_PARM1(ctx), REGS_PARM2(ctx));
	leave_handler();
	return 0;
}

#endif
