/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * kernel.h - the few kernel types that droptrace reads, with CO-RE.
 *
 * Only members that are used are named; libbpf-style relocation finds where the
 * running kernel keeps them. Types of modules (nf_tables, x_tables) are not
 * here: 5.10 has no BTF for modules, so their offsets come from struct layout
 * (config.h), which Go fills in.
 */
#ifndef DROPTRACE_KERNEL_H
#define DROPTRACE_KERNEL_H

typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef _Bool bool;

/* What bpf_helper_defs.h expects of linux/types.h, which is per architecture. */
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;

/* uapi linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
#define BPF_ANY 0
#define BPF_NOEXIST 1

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define true 1
#define false 0
#define NULL ((void *)0)

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

enum skb_drop_reason { /* 5.17 and later */
	SKB_DROP_REASON_NOT_SPECIFIED,
};

struct ns_common {
	unsigned int inum;
};

struct netns_nf {
	void *hooks_ipv4[5];
	void *hooks_ipv6[5];
	void *hooks_arp[3];
	void *hooks_bridge[5];
};

struct netns_nft {
	unsigned int base_seq; /* 6.12 and later */
};

struct ip_conntrack_stat {
	unsigned int invalid;
	unsigned int insert_failed;
	unsigned int clash_resolve;
	unsigned int drop;
	unsigned int early_drop;
	unsigned int chaintoolong; /* 5.15 and later */
};

struct netns_ct {
	struct ip_conntrack_stat *stat; /* per CPU */
};

struct netns_mib {
	void *net_statistics; /* struct linux_mib, per CPU */
};

struct net {
	struct ns_common ns;
	u64 net_cookie;
	struct netns_nf nf;
	struct netns_nft nft;
	struct netns_mib mib;
	struct netns_ct ct; /* where conntrack is built, as a module too */
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
	unsigned short type; /* ARPHRD_* */
	possible_net_t nd_net;
	void *nf_hooks_ingress;
	void *nf_hooks_egress;	/* 5.16 and later */
};

struct dst_entry {
	struct net_device *dev;
};

struct in6_addr {
	u32 words[4];
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	unsigned short skc_family;
	unsigned char skc_state;
	possible_net_t skc_net;
	struct sock *skc_listener; /* of a struct request_sock, which begins with it too */
	struct in6_addr skc_v6_daddr; /* where IPv6 is built */
	struct in6_addr skc_v6_rcv_saddr;
};

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

struct cred {
	kuid_t fsuid;
	kgid_t fsgid;
};

struct inode {
	unsigned long i_ino;
};

typedef struct {
	s64 counter;
} atomic64_t, atomic_long_t;

typedef struct {
	atomic64_t refcnt; /* of one reference: 0 */
} file_ref_t;

struct file {
	atomic_long_t f_count; /* up to 6.12 */
	file_ref_t f_ref;      /* later */
	struct inode *f_inode;
	struct cred *f_cred;
};

struct socket {
	struct file *file;
};

struct bpf_prog_array_item {
	void *prog;
};

struct bpf_prog_array {
	struct bpf_prog_array_item items[0];
};

struct cgroup_bpf {
	struct bpf_prog_array *effective[1]; /* the first: CGROUP_INET_INGRESS */
};

struct cgroup {
	struct cgroup_bpf bpf;
};

struct sock_cgroup_data {
	struct cgroup *cgroup; /* 5.15 and later */
};

typedef struct {
	int counter;
} atomic_t;

struct sock {
	struct sock_common __sk_common;
	struct {
		atomic_t rmem_alloc; /* sk_rmem_alloc */
	} sk_backlog;
	int sk_rcvbuf;
	void *sk_filter;
	struct sock_cgroup_data sk_cgrp_data;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	u16 sk_protocol;
	u8 sk_kern_sock : 1; /* the kernel's own, as the one that sends resets */
	kuid_t sk_uid;
	struct socket *sk_socket;
};

struct sk_buff {
	struct sk_buff *next;
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned long _nfct;
	unsigned int len;
	unsigned int data_len;
	u32 mark;
	u16 protocol;
	u16 vlan_proto;
	u16 vlan_tci;
	u16 transport_header;
	u16 network_header;
	u16 mac_header;
	unsigned int tail; /* an offset where NET_SKBUFF_DATA_USES_OFFSET: 64-bit */
	unsigned int end;
	unsigned char *head;
	unsigned char *data;
	void *destructor;
	u32 users;
	u8 __pkt_type_offset[0]; /* marks the byte of pkt_type:3; 5.10 to 7.2 */
	u8 cloned : 1;
	u8 pkt_type : 3;
	u8 vlan_present : 1; /* up to 6.1; later vlan_all != 0 says it */
	u32 vlan_all;
};

struct skb_shared_info {
	u8 nr_frags;
	unsigned short gso_size;
	unsigned short gso_segs;
	struct sk_buff *frag_list;
};

struct nf_hook_state {
	/* u32 in 5.10, u8 by 6.1: read with the size CO-RE finds */
	u8 hook;
	u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct sock *sk;
	struct net *net;
	void *okfn;
};

struct nf_conntrack_zone {
	u16 id;
};

struct nf_conntrack_man {
	u16 l3num;
};

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
};

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};

struct ip_ct_tcp {
	u8 state;
};

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
};

struct nf_conn {
	possible_net_t ct_net;
	u32 timeout;
	struct nf_conntrack_zone zone;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	u32 mark;
	union nf_conntrack_proto proto;
};

struct va_format {
	const char *fmt;
	void *va;
};

struct nsproxy {
	struct net *net_ns;
};

struct thread_info {
	u64 preempt_count; /* arm64; its upper half is not the count */
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
	struct thread_info thread_info; /* arm64 */
	void *stack;
	unsigned int flags;
	int softirq_disable_cnt; /* PREEMPT_RT */
	struct nsproxy *nsproxy;
	struct files_struct *files;
};

struct bpf_array {
	void *pptrs[0];
};

#pragma clang attribute pop

#endif
