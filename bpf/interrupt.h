/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * interrupt.h - whether what runs is not the current task's doing.
 */
#ifndef DROPTRACE_INTERRUPT_H
#define DROPTRACE_INTERRUPT_H

#include "read.h"

/* linux/preempt.h, 5.10 to 7.2. Softirqs that are only disabled count by twice that. */
#define SOFTIRQ_OFFSET 0x00000100

/* PREEMPT_RT runs softirqs in a task, that which enables them among others. */
static __always_inline bool serves_softirq(struct task_struct *task)
{
	return READ(task, softirq_disable_cnt) & SOFTIRQ_OFFSET;
}

#if defined(__TARGET_ARCH_arm64)

#define HARDIRQ_MASK 0x000f0000
#define NMI_MASK 0x00f00000

/* 5.10 runs softirqs that local_bh_enable starts on the stack of the task. */
static __always_inline bool serves_interrupt(struct task_struct *task)
{
	return serves_softirq(task) ||
	       READ(task, thread_info.preempt_count) & (SOFTIRQ_OFFSET | HARDIRQ_MASK | NMI_MASK);
}

#else

/*
 * The count is a per-CPU variable there. Softirqs have their own stacks. An interrupt
 * out of user mode is the exception: its softirqs run on the task's stack (sysvec_* of
 * arch/x86/include/asm/irq_stack.h), see in_call of socket.h.
 */
static __always_inline bool serves_interrupt(struct task_struct *task)
{
	return serves_softirq(task);
}

#endif
#endif
