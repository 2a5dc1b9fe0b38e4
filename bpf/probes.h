/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * probes.h - what the probes beside kfree_skb read: the expression or target
 * that is about to kill a packet.
 */
#ifndef DROPTRACE_PROBES_H
#define DROPTRACE_PROBES_H

#include "nft_rule.h"
#include "notes.h"

#define NFT_EXPR_DATA 8		/* struct nft_expr {ops, data[]} */
#define NFT_IMMEDIATE_DREG 16	/* struct nft_immediate_expr {struct nft_data data; u8 dreg} */
#define NFT_REG_VERDICT 0
#define MAX_EXPRESSIONS 128	/* of one rule: NFT_RULE_MAXEXPRS */

#if defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 sp, pc, pstate;
};
#define REGS_PARM1(r) ((r)->regs[0])
#define REGS_PARM2(r) ((r)->regs[1])
#define REGS_PARM3(r) ((r)->regs[2])
#define REGS_PARM4(r) ((r)->regs[3])
#define REGS_PARM5(r) ((r)->regs[4])
#define REGS_PARM6(r) ((r)->regs[5])
#define REGS_RETURN(r) ((r)->regs[0])
#define REGS_STACK(r) ((r)->sp)
/* x19 to x28: what a callee must keep for its caller */
#define SAVED_REGS 10
#define REGS_SAVED(r, i) ((r)->regs[19 + (i)])
#else
struct pt_regs {
	u64 saved[6]; /* r15 r14 r13 r12 rbp rbx: what a callee must keep */
	u64 r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#define REGS_PARM1(r) ((r)->di)
#define REGS_PARM2(r) ((r)->si)
#define REGS_PARM3(r) ((r)->dx)
#define REGS_PARM4(r) ((r)->cx)
#define REGS_PARM5(r) ((r)->r8)
#define REGS_PARM6(r) ((r)->r9)
#define REGS_RETURN(r) ((r)->ax)
#define REGS_STACK(r) ((r)->sp)
#define SAVED_REGS 6
#define REGS_SAVED(r, i) ((r)->saved[i])
#endif

/*
 * An argument as a number: fentry's are typed pointers, whose bits the verifier
 * lets nobody look at.
 */
static __always_inline u64 argument(u64 *ctx, int i)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), ctx + i);
	return value;
}

/* struct nft_immediate_expr of a drop: `drop`, -j DROP of iptables-nft. */
static __always_inline bool immediate_drops(u64 expr)
{
	struct {
		s32 code;
		u32 pad[3];
		u8 dreg;
		u8 dlen;
	} data = { .code = -1 };

	bpf_probe_read_kernel(&data, NFT_IMMEDIATE_DREG + 2, (void *)(expr + NFT_EXPR_DATA));
	return data.dreg == NFT_REG_VERDICT && data.code == NF_DROP;
}

/* struct nft_regs begins with the verdict's code. */
static __always_inline bool verdict_is_drop(u64 regs)
{
	s32 code = -1;

	bpf_probe_read_kernel(&code, sizeof(code), (void *)regs);
	return code == NF_DROP;
}

static __always_inline void note_expression(u64 expr, u64 pkt, u64 rule, u32 kind)
{
	const struct config *c = get_config();
	struct note note = { .expr = expr, .rule = rule, .kind = kind };

	if (!c)
		return;
	note.state = read_u64(pkt + c->layout.pktinfo_state);
	leave_note(read_u64(pkt), &note);
}

/*
 * Whether this is the header of the rule that holds expr: a walk over its
 * expressions meets expr and ends where the header says. Global, because it is
 * asked once a register.
 */
__noinline int check_rule(u64 rule, u64 expr)
{
	const struct config *c = get_config();
	const struct layout *l;

	u64 header, at, end;
	bool met = false;

	if (!c)
		return false;
	l = &c->layout;
	header = read_u64(rule + (l->rule_blob ? 0 : OLD_RULE_INFO));
	at = rule + (l->rule_blob ? DP_HEADER : OLD_RULE_HEADER);
	end = at + (l->rule_blob ? DP_LENGTH(header) : OLD_LENGTH(header));
	if (expr < at || expr >= end)
		return false;
	for (int i = 0; i < MAX_EXPRESSIONS; i++) {
		u32 size = 0;
		u64 ops;

		if (at >= end)
			break;
		met |= at == expr;
		ops = read_u64(at);
		if (!is_kernel_address(ops))
			return false;
		bpf_probe_read_kernel(&size, sizeof(size), (void *)(ops + l->ops_size));
		if (!size || size > 4096)
			return false;
		at += size;
	}
	return met && at == end;
}

/*
 * nft_do_chain keeps the rule in a register that its callees must save, so at
 * an eval's entry it is still there. Exactly one register may fit.
 */
static __always_inline u64 rule_in_registers(struct pt_regs *ctx, u64 expr)
{
	const struct config *c = get_config();
	u64 found = 0;

	if (!c)
		return 0;
#pragma unroll
	for (int i = 0; i < SAVED_REGS; i++) {
		u64 candidate = REGS_SAVED(ctx, i);

		if (!is_kernel_address(candidate) || (candidate & 7) || candidate >= expr)
			continue;
		if (!check_rule(candidate, expr))
			continue;
		if (found && found != candidate)
			return 0;
		found = candidate;
	}
	return found;
}

/* An eval returned: its nft_regs lie in nft_do_chain's frame, just above. */
static __always_inline void finish_pending(struct pt_regs *ctx)
{
	struct pending p;

	if (take_pending(&p, REGS_STACK(ctx)) && verdict_is_drop(p.regs))
		note_expression(p.expr, p.pkt, rule_in_registers(ctx, p.expr), NOTE_NFT);
}

/* xt_action_param: the target's data lies in the entry. */
static __always_inline void note_target(u64 skb, u64 param)
{
	const struct config *c = get_config();
	struct note note = { .kind = NOTE_XT_TARGET };

	if (!c)
		return;
	note.expr = read_u64(param + c->layout.targinfo);
	note.state = read_u64(param + c->layout.param_state);
	leave_note(skb, &note);
}

#endif
