/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_listen.h - connection requests that a listening socket turns away.
 *
 * A SYN that tcp_conn_request refuses ends in consume_skb and not in kfree_skb
 * (tcp_rcv_state_process), and the function returns 0 either way. What tells is
 * this CPU's own counters.
 */
#ifndef DROPTRACE_TCP_LISTEN_H
#define DROPTRACE_TCP_LISTEN_H

#include "ct_probe.h"
#include "losses.h"
#include "socket.h"
#include "tcp_handshake.h"

struct listen_run {
	u64 stack;
	u64 sk;
	u64 skb;
	struct mib_counters before;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct listen_run);
} listen_runs SEC(".maps");

static __always_inline struct listen_run *get_listen_run(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&listen_runs, &zero);
}

/* int tcp_conn_request(rsk_ops, af_ops, sk, skb) */
static __always_inline void request_entry(u64 stack, u64 sk, u64 skb)
{
	struct listen_run *r = get_listen_run();

	if (!r || !read_mib(&r->before, READ((struct sock *)sk, __sk_common.skc_net.net)))
		return;
	r->stack = stack;
	r->sk = sk;
	r->skb = skb;
}

__noinline int step_refused(u32 kind)
{
	struct listen_run *r = get_listen_run();
	struct scratch *s;
	struct event *e;
	struct sock *sk;
	u32 level = 0;

	if (!r)
		return 0;
	s = begin_record(&level);
	if (!s)
		return 0;
	count(COUNT_SEEN);
	sk = (void *)r->sk;
	e = &s->event;
	e->type = EVENT_LISTEN;
	e->flags = FLAG_FAILURE | FLAG_SOCKET;
	e->bytes.front = EVENT_NO_STACK;
	e->listen.kind = kind;
	e->listen.waiting = READ(sk, sk_ack_backlog);
	e->listen.limit = READ(sk, sk_max_ack_backlog);
	read_skb_slow(e, r->skb);
	set_net(e, READ(sk, __sk_common.skc_net.net));
	read_socket(&e->socket, sk, SOCKET_RECEIVES);
	if (!step_filter(level)) {
		count(COUNT_FILTERED);
	} else if (bpf_ringbuf_output(&events, e, EVENT_NO_STACK, 0)) {
		count(COUNT_LOST);
		step_count_loss(level);
	} else {
		count(COUNT_DELIVERED);
	}
	end_record(level);
	return 0;
}

static __always_inline void request_exit(u64 stack)
{
	struct listen_run *r = get_listen_run();
	struct mib_counters now = {};
	u32 kind = LISTEN_OTHER;
	struct net *net;

	if (!r || !below(stack, r->stack))
		return;
	r->stack = 0;
	net = READ((struct sock *)r->sk, __sk_common.skc_net.net);
	if (!read_mib(&now, net) || now.drops == r->before.drops)
		return;
	keep_mib(net, &now);
	if (now.overflows != r->before.overflows)
		kind = LISTEN_ACCEPT_QUEUE;
	else if (now.queue_full != r->before.queue_full)
		kind = LISTEN_SYN_QUEUE;
	step_refused(kind);
}

/* int tcp_conn_request(rsk_ops, af_ops, sk, skb). */
SEC("fentry/tcp_conn_request")
int fentry_request(u64 *ctx)
{
	request_entry(stack_of(ctx), argument(ctx, 2), argument(ctx, 3));
	return 0;
}

SEC("fexit/tcp_conn_request")
int fexit_request(u64 *ctx)
{
	request_exit(stack_of(ctx));
	return 0;
}

SEC("kprobe/tcp_conn_request")
int kprobe_request(struct pt_regs *ctx)
{
	request_entry(REGS_STACK(ctx), REGS_PARM3(ctx), REGS_PARM4(ctx));
	return 0;
}

SEC("kretprobe/tcp_conn_request")
int kretprobe_request(struct pt_regs *ctx)
{
	request_exit(REGS_STACK(ctx));
	return 0;
}

#endif
