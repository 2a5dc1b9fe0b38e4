/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcp_headerless.h - TCP segments that die before they get an IP header: there is no
 * route any more (__ip_queue_xmit, inet6_csk_xmit). Their socket knows the addresses,
 * so a header is made up of those, for filters and people.
 */
#ifndef DROPTRACE_TCP_HEADERLESS_H
#define DROPTRACE_TCP_HEADERLESS_H

#include "packet.h"
#include "scratch.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12
#define IP4_HEADER 20
#define IP6_HEADER 40

/* No struct sock but one of a request or of TIME_WAIT begins with sock_common. */
static __always_inline bool is_tcp_socket(struct sock *sk)
{
	u8 state = READ(sk, __sk_common.skc_state);

	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV &&
	       READ(sk, sk_protocol) == IPPROTO_TCP;
}

static __always_inline bool is_mapped(const u32 *address)
{
	return !address[0] && !address[1] && address[2] == __builtin_bswap32(0xffff);
}

/* Returns the length of the header that it made. */
static __always_inline u32 make_ip4_header(struct event *e, struct sock *sk)
{
	u32 length = e->length + IP4_HEADER;
	u32 from = READ(sk, __sk_common.skc_rcv_saddr), to = READ(sk, __sk_common.skc_daddr);

	e->protocol = ETH_P_IP;
	e->header[0] = 0x45;
	if (length <= 0xffff) { /* a GSO packet: 0 */
		e->header[2] = length >> 8;
		e->header[3] = length;
	}
	e->header[9] = IPPROTO_TCP;
	__builtin_memcpy(e->header + 12, &from, 4);
	__builtin_memcpy(e->header + 16, &to, 4);
	return IP4_HEADER;
}

static __always_inline u32 make_ip6_header(struct event *e, struct sock *sk, const u32 *to)
{
	u32 from[4] = {};

	if (bpf_core_field_exists(sk->__sk_common.skc_v6_rcv_saddr))
		bpf_core_read(from, sizeof(from), &sk->__sk_common.skc_v6_rcv_saddr);
	e->protocol = ETH_P_IPV6;
	e->header[0] = 0x60;
	if (e->length <= 0xffff) {
		e->header[4] = e->length >> 8;
		e->header[5] = e->length;
	}
	e->header[6] = IPPROTO_TCP;
	__builtin_memcpy(e->header + 8, from, 16);
	__builtin_memcpy(e->header + 24, to, 16);
	return IP6_HEADER;
}

__noinline int step_make_header(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct sk_buff *skb;
	struct sock *sk;
	struct event *e;
	u32 to[4] = {}, made, length;

	if (!s)
		return 0;
	e = &s->event;
	skb = (void *)s->skb;
	sk = READ(skb, sk);
	if (!is_tcp_socket(sk)) {
		e->flags &= ~FLAG_HEADERLESS;
		return 0;
	}
	__builtin_memset(e->header, 0, IP6_HEADER);
	if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr) &&
	    READ(sk, __sk_common.skc_family) == AF_INET6)
		bpf_core_read(to, sizeof(to), &sk->__sk_common.skc_v6_daddr);
	if (READ(sk, __sk_common.skc_family) == AF_INET || is_mapped(to))
		made = make_ip4_header(e, sk);
	else
		made = make_ip6_header(e, sk, to);
	length = READ(skb, tail) - READ(skb, transport_header);
	if (length > HEADER_BYTES - IP6_HEADER) {
		length = HEADER_BYTES - IP6_HEADER;
		e->flags |= FLAG_HEADER_CUT;
	}
	/* The bound on the very register that the helper gets. */
	asm volatile("" : "+r"(length));
	if (length > HEADER_BYTES - IP6_HEADER)
		return 0;
	if (made == IP4_HEADER)
		bpf_probe_read_kernel(e->header + IP4_HEADER, length, READ(skb, head) + READ(skb, transport_header));
	else
		bpf_probe_read_kernel(e->header + IP6_HEADER, length, READ(skb, head) + READ(skb, transport_header));
	e->header_len = made + length;
	e->network_offset = -(s32)made;
	return 0;
}

#endif
