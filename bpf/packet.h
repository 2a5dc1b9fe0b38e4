/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * packet.h - what an skb says of itself: namespace, device, bytes.
 */
#ifndef DROPTRACE_PACKET_H
#define DROPTRACE_PACKET_H

#include "config.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define NO_OFFSET 0xffff /* an unset transport or mac header */
#define DST_NOREF_MASK (~1UL) /* _skb_refdst carries SKB_DST_NOREF in bit 0 */

static __always_inline void put_device_name(char *to, const u64 *name)
{
	if (put_name((u64 *)to, name[0]))
		put_name((u64 *)to + 1, name[1]);
}

static __always_inline void read_device(struct net_device *dev, u32 *index, char *name)
{
	if (!dev)
		return;
	*index = READ(dev, ifindex);
	read_name(name, IFNAME_BYTES, ADDRESS(dev, name));
}

static __always_inline void set_net(struct event *e, struct net *net)
{
	if (!net)
		return;
	e->netns = READ(net, ns.inum);
	/* Before 5.12 a cookie is an atomic64_t of another name: left 0. */
	if (bpf_core_field_exists(net->net_cookie))
		e->netns_cookie = READ(net, net_cookie);
}

/*
 * The functions below take the tracepoint's own pointer, which the verifier
 * knows the type of: its members are plain loads, not helper calls.
 */

/*
 * Where a socket has queued a packet, skb->dev may be another number: UDP's
 * dev_scratch, the rb_node of TCP's segments out of order. What that leads to is no
 * namespace: theirs are numbered from NET_NS_INIT_INO and PROC_DYNAMIC_FIRST on.
 */
#define FIRST_NETNS 0xeffffff0

static __always_inline bool use_net(struct event *e, struct net *net)
{
	if (!net || net->ns.inum < FIRST_NETNS)
		return false;
	e->netns = net->ns.inum;
	if (bpf_core_field_exists(net->net_cookie))
		e->netns_cookie = net->net_cookie;
	return true;
}

static __always_inline void read_own_device(struct event *e, struct net_device *dev)
{
	e->dev_ifindex = dev->ifindex;
	if (bpf_core_field_exists(dev->name))
		put_device_name(e->dev_name, (u64 *)dev->name);
}

/* Device and namespace of a packet that has no hook state; else the socket's, else the route's. */
static __always_inline struct net *read_place(struct event *e, struct sk_buff *skb,
					      struct net_device *dev, struct sock *sk)
{
	struct dst_entry *dst;
	struct net *net = NULL;

	if (dev && bpf_core_field_exists(dev->nd_net.net)) {
		net = dev->nd_net.net;
		if (use_net(e, net)) {
			read_own_device(e, dev);
			return net;
		}
	}
	if (sk && bpf_core_field_exists(sk->__sk_common.skc_net.net)) {
		net = sk->__sk_common.skc_net.net;
		if (use_net(e, net))
			return net;
	}
	dst = (void *)(skb->_skb_refdst & DST_NOREF_MASK);
	net = dst ? READ(READ(dst, dev), nd_net.net) : NULL;
	set_net(e, net);
	return net;
}

/*
 * Only the linear part can be read from a tracepoint; every header that the
 * network stack has looked at is in it.
 */
static __always_inline void read_header(struct event *e, struct sk_buff *skb)
{
	unsigned char *head = skb->head;
	u32 network = skb->network_header;
	u32 tail = skb->tail;
	u32 data = (u32)(skb->data - head);
	u32 len;

	if (network == NO_OFFSET || network >= tail || network == 0)
		network = data;
	if (network >= tail)
		return;
	e->network_offset = (s16)(network - data);
	len = tail - network;
	if (len > HEADER_BYTES) {
		len = HEADER_BYTES;
		e->flags |= FLAG_HEADER_CUT;
	}
	/* The verifier loses the bound when clang keeps len in two registers. */
	asm volatile("" : "+r"(len));
	if (len > HEADER_BYTES)
		return;
	if (bpf_probe_read_kernel(e->header, len, head + network))
		return;
	e->header_len = len;
}

static __always_inline void read_vlan(struct event *e, struct sk_buff *skb)
{
	bool present;

	if (bpf_core_field_exists(skb->vlan_present))
		present = BPF_CORE_READ_BITFIELD(skb, vlan_present);
	else
		present = skb->vlan_all != 0;
	if (!present)
		return;
	e->vlan_tci = skb->vlan_tci;
	e->bytes.vlan_proto = __builtin_bswap16(skb->vlan_proto);
	e->flags |= FLAG_VLAN;
}

static __always_inline void read_shared_info(struct event *e, struct sk_buff *skb)
{
	struct skb_shared_info *shared;

	/* skb_end_pointer: head + end where offsets are used (64-bit) */
	shared = (void *)(skb->head + skb->end);
	e->gso_size = READ(shared, gso_size);
	e->gso_segs = READ(shared, gso_segs);
	if (READ(shared, frag_list))
		e->flags |= FLAG_HEAD_FRAGS;
}

/* A segment that TCP hands to IP, which has not touched it yet. */
static __always_inline bool is_headerless(struct sk_buff *skb, struct sock *sk)
{
	return sk && !skb->protocol && !skb->network_header &&
	       skb->transport_header == (u16)(skb->data - skb->head);
}

/* LOCAL_OUT of raw sockets comes with no protocol: the version nibble tells. */
static __always_inline void fix_protocol(struct event *e)
{
	if (e->protocol || !e->header_len)
		return;
	if ((e->header[0] >> 4) == 4)
		e->protocol = ETH_P_IP;
	else if ((e->header[0] >> 4) == 6)
		e->protocol = ETH_P_IPV6;
}

static __always_inline struct net *read_packet(struct event *e, struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;
	struct sock *sk = skb->sk;
	struct net *net;

	e->skb = (u64)skb;
	e->length = skb->len;
	e->mark = skb->mark;
	e->protocol = __builtin_bswap16(skb->protocol);
	if (bpf_core_field_exists(skb->pkt_type))
		e->pkt_type = BPF_CORE_READ_BITFIELD(skb, pkt_type);
	if (sk)
		e->flags |= FLAG_SOCKET;
	net = read_place(e, skb, dev, sk);
	read_header(e, skb);
	if (is_headerless(skb, sk))
		e->flags |= FLAG_HEADERLESS; /* see tcp_headerless.h */
	else
		fix_protocol(e);
	read_vlan(e, skb);
	read_shared_info(e, skb);
	return net;
}

#endif
