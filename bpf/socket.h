/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * socket.h - whose packet it is: its socket, and the task where that is proven.
 *
 * A packet that dies on a task's stack need not be that task's: on x86-64 an interrupt
 * out of user mode runs its softirqs there, a write to a tun device has the kernel
 * answer on behalf of any socket. The task that is in a system call on the packet's
 * own socket is no bystander. All else Go finds by the socket's inode.
 */
#ifndef DROPTRACE_SOCKET_H
#define DROPTRACE_SOCKET_H

#include "interrupt.h"
#include "packet.h"
#include "scratch.h"
#include "tcp_headerless.h"

#define PF_KTHREAD 0x00200000

#if defined(__TARGET_ARCH_arm64)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs___user {
	u64 orig_x0;
	s32 syscallno;
};
#pragma clang attribute pop

/* The first argument of the task's system call; -1: it is in none. task_pt_regs. */
static __always_inline u64 call_argument(struct task_struct *task)
{
	struct pt_regs___user *regs = NULL;

	if (!bpf_core_type_exists(struct pt_regs___user) || !bpf_core_field_exists(regs->syscallno))
		return -1;
	regs = (void *)READ(task, stack) + stack_size - bpf_core_type_size(struct pt_regs___user);
	if (READ(regs, syscallno) < 0)
		return -1;
	return READ(regs, orig_x0);
}

#else

#define USER_CS 0x33 /* of 64 bits: those of 32 pass arguments elsewhere */
#define USER_DS 0x2b
#define FRED_PADDING 16 /* TOP_OF_KERNEL_STACK_PADDING where FRED is built in (6.9) */

/* What the CPU and the entry code leave at the top of a task's stack: struct pt_regs. */
struct user_registers {
	u64 di;
	s64 orig_ax; /* the call's number; -1 of interrupts and exceptions */
	u64 ip;
	u16 cs, pad0[3];
	u64 flags;
	u64 sp;
	u16 ss, pad1[3];
};

static __always_inline bool read_registers(struct user_registers *r, u64 top)
{
	return !bpf_probe_read_kernel(r, sizeof(*r), (void *)(top - sizeof(*r))) && r->cs == USER_CS &&
	       r->ss == USER_DS;
}

static __always_inline u64 call_argument(struct task_struct *task)
{
	u64 top = (u64)READ(task, stack) + stack_size;
	struct user_registers r;

	if (!read_registers(&r, top) && !read_registers(&r, top - FRED_PADDING))
		return -1;
	return r.orig_ax < 0 ? -1 : r.di;
}

#endif

/* Whether the task is in a system call whose first argument is the file's descriptor. */
static __always_inline bool in_call(struct task_struct *task, struct file *file)
{
	struct fdtable *table;
	u64 fd;

	if (!file || READ(task, flags) & PF_KTHREAD)
		return false;
	fd = (u32)call_argument(task); /* -1 is past every table */
	table = READ(READ(task, files), fdt);
	if (fd >= READ(table, max_fds))
		return false;
	return READ_AT(u64, READ(table, fd) + fd) == (u64)file;
}

static __always_inline bool on_task_stack(struct task_struct *task, u64 stack_pointer)
{
	u64 stack = (u64)READ(task, stack);

	return stack_pointer >= stack && stack_pointer < stack + stack_size;
}

/* The task at hand, and whether the packet's socket is its own. */
static __always_inline void read_task(struct event *e, u64 stack_pointer, struct file *file)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!on_task_stack(task, stack_pointer) || serves_interrupt(task))
		return;
	e->flags |= FLAG_TASK;
	if (!in_call(task, file))
		return;
	e->flags |= FLAG_IN_CALL;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
}

/* A whole struct sock; NULL for none. */
static __always_inline struct sock *whole_socket(struct sock *sk, u32 *kind)
{
	u16 family = READ(sk, __sk_common.skc_family);
	u8 state = READ(sk, __sk_common.skc_state);

	if (family != AF_INET && family != AF_INET6)
		return sk; /* their states are others */
	if (state == TCP_TIME_WAIT)
		return NULL;
	if (state != TCP_NEW_SYN_RECV)
		return sk;
	if (*kind == SOCKET_OF_PACKET)
		*kind = SOCKET_OF_REQUEST;
	return READ(sk, __sk_common.skc_listener);
}

static __always_inline bool has_cgroup_program(struct sock *sk)
{
	struct cgroup *cgroup = READ(sk, sk_cgrp_data.cgroup);
	u64 effective = ADDRESS(cgroup, bpf.effective);
	u64 array;

	if (!cgroup || !effective)
		return false;
	array = READ_AT(u64, effective);
	return array && READ_AT(u64, ADDRESS((struct bpf_prog_array *)array, items)) != 0;
}

/* What may have refused a packet that came to the socket. */
static __always_inline void read_limits(struct socket_info *info, struct sock *sk)
{
	info->queued = READ(sk, sk_backlog.rmem_alloc.counter);
	info->limit = READ(sk, sk_rcvbuf);
	if (!bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return;
	info->filters = SOCKET_FILTER_KNOWN;
	if (READ(sk, sk_filter))
		info->filters |= SOCKET_FILTER_OWN;
	if (has_cgroup_program(sk))
		info->filters |= SOCKET_FILTER_CGROUP;
}

/* Fills in the socket and returns its file. */
static __always_inline struct file *read_socket(struct socket_info *info, struct sock *sk, u32 kind)
{
	struct cred *cred;
	struct file *file;

	sk = whole_socket(sk, &kind);
	/* The kernel's own have nobody's uid. */
	if (!sk || (bpf_core_field_exists(sk->sk_kern_sock) && BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock)))
		return NULL;
	info->kind = kind;
	info->uid = READ(sk, sk_uid.val);
	if (kind == SOCKET_RECEIVES)
		read_limits(info, sk);
	file = READ(READ(sk, sk_socket), file);
	if (!file)
		return NULL;
	info->inode = READ(READ(file, f_inode), i_ino);
	if (bpf_core_field_exists(file->f_ref))
		info->references = READ(file, f_ref.refcnt.counter) + 1;
	else
		info->references = READ(file, f_count.counter);
	cred = READ(file, f_cred);
	info->file_uid = READ(cred, fsuid.val);
	info->file_gid = READ(cred, fsgid.val);
	return file;
}

/*
 * The namespace of the socket that a packet came to. The packet itself names none any
 * more once TCP has it.
 */
__noinline int step_receiver_net(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct net *net;

	if (!s)
		return 0;
	net = READ((struct sock *)s->receiver, __sk_common.skc_net.net);
	if (!net || (u64)net == s->net)
		return 0;
	s->net = (u64)net;
	set_net(&s->event, net);
	/* What looked like its device was none. */
	s->event.dev_ifindex = 0;
	__builtin_memset(s->event.dev_name, 0, sizeof(s->event.dev_name));
	return 0;
}

__noinline int step_socket(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct file *file = NULL;
	struct sk_buff *skb;
	struct sock *sk;

	if (!s)
		return 0;
	skb = (void *)s->skb;
	sk = READ(skb, sk);
	s->event.socket.destructor = (u64)READ(skb, destructor);
	if (s->receiver)
		file = read_socket(&s->event.socket, (void *)s->receiver, SOCKET_RECEIVES);
	else if (sk)
		file = read_socket(&s->event.socket, sk, SOCKET_OF_PACKET);
	read_task(&s->event, s->context, file);
	return 0;
}

#endif
