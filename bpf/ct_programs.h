/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ct_programs.h - the probes on conntrack's failing paths: see ct_probe.h.
 */
#ifndef DROPTRACE_CT_PROGRAMS_H
#define DROPTRACE_CT_PROGRAMS_H

#include "ct_probe.h"

SEC("fentry/nf_ct_resolve_clash")
int fentry_clash(u64 *ctx)
{
	clash_entry(stack_of(ctx), argument(ctx, 0), argument(ctx, 1));
	return 0;
}

SEC("fexit/nf_ct_resolve_clash")
int fexit_clash(u64 *ctx)
{
	clash_exit(stack_of(ctx), argument(ctx, 3));
	return 0;
}

SEC("kprobe/nf_ct_resolve_clash")
int kprobe_clash(struct pt_regs *ctx)
{
	clash_entry(REGS_STACK(ctx), REGS_PARM1(ctx), REGS_PARM2(ctx));
	return 0;
}

SEC("kretprobe/nf_ct_resolve_clash")
int kretprobe_clash(struct pt_regs *ctx)
{
	clash_exit(REGS_STACK(ctx), REGS_RETURN(ctx));
	return 0;
}

SEC("fentry/early_drop")
int fentry_early(u64 *ctx)
{
	early_entry(stack_of(ctx), argument(ctx, 0));
	return 0;
}

SEC("fexit/early_drop")
int fexit_early(u64 *ctx)
{
	early_exit(stack_of(ctx), (s32)argument(ctx, 2));
	return 0;
}

SEC("kprobe/early_drop")
int kprobe_early(struct pt_regs *ctx)
{
	early_entry(REGS_STACK(ctx), REGS_PARM1(ctx));
	return 0;
}

SEC("kretprobe/early_drop")
int kretprobe_early(struct pt_regs *ctx)
{
	early_exit(REGS_STACK(ctx), (s32)REGS_RETURN(ctx));
	return 0;
}

SEC("fentry/__nf_conntrack_alloc")
int fentry_alloc(u64 *ctx)
{
	alloc_entry(stack_of(ctx), argument(ctx, 2));
	return 0;
}

SEC("kprobe/__nf_conntrack_alloc")
int kprobe_alloc(struct pt_regs *ctx)
{
	alloc_entry(REGS_STACK(ctx), REGS_PARM3(ctx));
	return 0;
}

SEC("fentry/nf_ct_delete")
int fentry_delete(u64 *ctx)
{
	delete_entry(stack_of(ctx), argument(ctx, 0));
	return 0;
}

SEC("fexit/nf_ct_delete")
int fexit_delete(u64 *ctx)
{
	delete_exit(stack_of(ctx), (u8)argument(ctx, 3));
	return 0;
}

SEC("kprobe/nf_ct_delete")
int kprobe_delete(struct pt_regs *ctx)
{
	delete_entry(REGS_STACK(ctx), REGS_PARM1(ctx));
	return 0;
}

SEC("kretprobe/nf_ct_delete")
int kretprobe_delete(struct pt_regs *ctx)
{
	delete_exit(REGS_STACK(ctx), (u8)REGS_RETURN(ctx));
	return 0;
}

/* (skb, ct, state, fmt, ...); without state before 5.14 */
SEC("kprobe/nf_ct_l4proto_log_invalid")
int kprobe_ct_invalid(struct pt_regs *ctx)
{
	struct nf_conn *ct = (void *)REGS_PARM2(ctx);
	u64 net = (u64)READ(ct, ct_net.net);

	if (has_state_shape(REGS_PARM3(ctx), net))
		complain(REGS_PARM1(ctx), REGS_PARM3(ctx), net, REGS_PARM4(ctx), REGS_PARM5(ctx));
	else
		complain(REGS_PARM1(ctx), 0, net, REGS_PARM3(ctx), REGS_PARM4(ctx));
	return 0;
}

/* (skb, state, protonum, fmt, ...); (skb, net, pf, protonum, fmt, ...) before */
SEC("kprobe/nf_l4proto_log_invalid")
int kprobe_l4_invalid(struct pt_regs *ctx)
{
	struct nf_hook_state *state = (void *)REGS_PARM2(ctx);

	if (has_state_shape((u64)state, 0))
		complain(REGS_PARM1(ctx), (u64)state, (u64)READ(state, net),
			 REGS_PARM4(ctx), REGS_PARM5(ctx));
	else
		complain(REGS_PARM1(ctx), 0, REGS_PARM2(ctx), REGS_PARM5(ctx), REGS_PARM6(ctx));
	return 0;
}

SEC("kprobe/nf_ct_helper_log")
int kprobe_ct_helper(struct pt_regs *ctx)
{
	helper_refuses(REGS_PARM1(ctx), REGS_PARM2(ctx), REGS_PARM3(ctx), REGS_PARM4(ctx));
	return 0;
}

#endif
