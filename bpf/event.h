/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * event.h - the record that the kernel side hands to Go.
 *
 * tracer/event mirrors this file field by field; a test there compares the two
 * through the BTF of the compiled object. All numbers are in host byte order
 * but for addresses and ports inside tuples and the packet's own bytes, which
 * stay in network order.
 */
#ifndef DROPTRACE_EVENT_H
#define DROPTRACE_EVENT_H

#include "kernel.h"

#define HEADER_BYTES 160 /* from the network header: IPv6, options, inner ICMP */
#define ENTRY_BYTES 168  /* sizeof(struct ip6t_entry); ipt_entry is 112 */
#define NAME_BYTES 32    /* table and chain names are cut to this, NUL included */
#define IFNAME_BYTES 16
#define COMM_BYTES 16
#define STACK_DEPTH 20
#define CT_REASON_BYTES 64

enum event_type {
	EVENT_DROP = 1,
	EVENT_CALIBRATION = 2,
	EVENT_CONNTRACK = 3, /* a conntrack failure that lost no packet, or not yet */
	EVENT_LISTEN = 4,    /* a SYN that a listening socket refused: a drop, too */
	EVENT_STOLEN = 5,    /* a SYN that synproxy answered: not lost */
};

/* Facts about the record itself. */
enum event_flag {
	FLAG_VLAN = 1 << 0,	    /* vlan_tci is valid */
	FLAG_SOCKET = 1 << 1,	    /* skb->sk was set: the sender's or receiver's own */
	FLAG_TASK = 1 << 2,	    /* on a task's stack: it may be the task's doing */
	FLAG_IN_CALL = 1 << 3,	    /* pid and comm are of a task in a call on the socket */
	FLAG_STACK = 1 << 4,	    /* stack[] follows, zeros where it could not be had */
	FLAG_HEADER_CUT = 1 << 5,   /* header_len is less than the linear part holds */
	FLAG_HOOK_PROBE = 1 << 6,   /* hook, in and out from nf_hook_slow's probe */
	FLAG_HOOK_FRAME = 1 << 7,   /* hook, in and out from nf_hook_slow's frame */
	FLAG_XT_TRACKED = 1 << 8,   /* x_tables counters were compared */
	FLAG_XT_STALE = 1 << 9,	    /* a tracked table was replaced since Track */
	FLAG_XT_UNTRACKED = 1 << 10, /* x_tables hooks here that nobody tracks */
	FLAG_XT_CAPPED = 1 << 11,   /* more drop entries than one drop may read */
	FLAG_NONLINEAR = 1 << 12,   /* part of the packet lies in pages */
	FLAG_NFT_HERE = 1 << 13,    /* nft base chains stand on this hook */
	FLAG_NFT_POLICY = 1 << 14,  /* an nft base chain with policy drop does */
	FLAG_HEAD_FRAGS = 1 << 15,  /* the head of a reassembled datagram */
	FLAG_CONNTRACK = 1 << 16,   /* conntrack looks at this namespace's packets */
	FLAG_FAILURE = 1 << 17,	    /* failure follows */
	FLAG_TUPLE_ONLY = 1 << 18,  /* header[] was made up from ct.original */
	FLAG_UNCALIBRATED = 1 << 19, /* netfilter's frame stood as calibration never saw it */
	FLAG_EVAL_UNSEEN = 1 << 20, /* an eval's end was missed: the policy is not certain */
	FLAG_DEFERRED = 1 << 21,    /* a bare ACK that TCP_DEFER_ACCEPT has no use for */
	FLAG_OVERFLOW = 1 << 22,    /* the packet found its accept queue full */
	FLAG_HEADERLESS = 1 << 23,  /* there was no IP header yet: one of its socket's addresses */
	FLAG_NAT_HERE = 1 << 24,    /* NAT has its hook here, with chains or without */
};

enum rule_kind {
	RULE_NONE = 0,
	RULE_NFT = 1,	     /* rule_handle is the rule's */
	RULE_NFT_POLICY = 2, /* chain_handle is the base chain's */
	RULE_XT = 3,	     /* entry at offset in the table's blob */
	RULE_HOOK = 4,	     /* no rule: the hook's function is hook_fn */
};

/* How the rule was found. */
enum rule_method {
	METHOD_NONE = 0,
	METHOD_NFT_EXPRESSION = 1,
	METHOD_NFT_FRAME = 2,	      /* the calibrated slot held the rule */
	METHOD_XT_TARGET = 4,	      /* offset is the target's data, not the entry */
	METHOD_XT_COUNTER = 5,
	METHOD_XT_COUNTER_MANY = 6,   /* several entries moved; this is one */
	METHOD_POLICY_SITE = 7,	      /* calibrated call site and slot */
	METHOD_POLICY_REST = 8,	      /* every drop-yielding eval was silent */
	METHOD_HOOK = 9,
	METHOD_XT_FRESH = 10,	      /* the only entry that counted since the table is there */
};

/* struct nf_conntrack_tuple without its padding holes named: 40 bytes. */
struct ct_tuple {
	u8 src[16];
	u16 src_port; /* port, ICMP id or GRE key; network order */
	u16 l3num;
	u8 dst[16];
	u16 dst_port; /* port, or ICMP type and code; network order */
	u8 protonum;
	u8 dir;
};

struct ct_info {
	u8 present;   /* 0: _nfct was NULL; 1: an entry; 2: IP_CT_UNTRACKED */
	u8 ctinfo;    /* enum ip_conntrack_info */
	u8 tcp_state; /* enum tcp_conntrack */
	u8 pad;
	u32 status;   /* IPS_* bits */
	u32 mark;
	u16 zone;
	u16 pad2;
	u32 timeout;  /* jiffies32 when confirmed */
	u32 jiffies;  /* at the drop, to read timeout by */
	struct ct_tuple original;
	struct ct_tuple reply;
};

/* What a probe saw of a conntrack failure. */
enum ct_saw {
	CT_SAW_NOTHING = 0,
	CT_SAW_CLASH = 1,	   /* nf_ct_resolve_clash gave up; other: who was there */
	CT_SAW_CLASH_RESOLVED = 2, /* it did not */
	CT_SAW_FULL = 3,	   /* early_drop found nobody to evict */
	CT_SAW_EVICTED = 4,	   /* early_drop evicted other */
	CT_SAW_INVALID = 5,	   /* a protocol's tracker complained: reason */
};

/* Probes that stood when the failure came: what they did not see was not so. */
enum ct_hooked {
	CT_HOOKED_CLASH = 1 << 0,
	CT_HOOKED_FULL = 1 << 1,
	CT_HOOKED_INVALID = 1 << 2,
};

/* struct ip_conntrack_stat, those that tell failures apart. */
enum ct_counter {
	CT_INVALID,
	CT_INSERT_FAILED,
	CT_DROP,
	CT_EARLY_DROP,
	CT_CLASH_RESOLVE,
	CT_CHAIN_TOO_LONG,
	CT_COUNTERS,
};

struct ct_failure {
	u8 saw;
	u8 hooked;
	u8 counted; /* moved[] is valid */
	u8 at_hook; /* conntrack's own hook function dropped the packet */
	u32 moved[CT_COUNTERS]; /* this CPU's counters since they were last looked at */
	u32 pad;
	struct ct_info other;
	char reason[CT_REASON_BYTES]; /* the kernel's format string */
};

/* Why a listening socket refused. */
enum listen_kind {
	LISTEN_OTHER = 0,	 /* no memory, no route, a security module */
	LISTEN_ACCEPT_QUEUE = 1, /* nobody accepts what is established */
	LISTEN_SYN_QUEUE = 2,	 /* too many half-open ones, and no cookies */
};

struct listen_queue {
	u32 kind;
	u32 waiting; /* for accept() */
	u32 limit;   /* of listen(), capped by somaxconn */
	u32 pad;
};

struct rule_info {
	u8 kind;
	u8 method;
	u8 candidates; /* how many entries or rules fitted */
	u8 family;     /* nft_table.family or xt_table.af: NFPROTO_* */
	u32 generation; /* nft base_seq; 0 for x_tables */
	u64 rule_handle; /* x_tables, by counter: print of the entry, see entry_print */
	u64 chain_handle;
	u64 table_handle;
	u64 address;	/* the rule's header, or the table blob (xt_table_info) */
	u32 offset;	/* x_tables: of the entry in the blob */
	u8 verdict;     /* 1: a reject target or expression took it */
	u8 pad[3];
	char table[NAME_BYTES];
	char chain[NAME_BYTES]; /* nft only */
	u8 entry[ENTRY_BYTES];  /* x_tables only: the entry's first bytes */
};

/*
 * The packet as the kernel had it, from its link-layer header if it still had
 * one. The bytes follow the record, behind the stack if that is there too.
 */
struct packet_bytes {
	u32 captured; /* bytes that follow */
	u32 original; /* bytes that the packet had; a GSO packet is one */
	u16 link_length; /* of the link-layer header; 0: it begins at the network header */
	u16 device_type; /* ARPHRD_* of the device; ARPHRD_VOID where it had none */
	u16 vlan_proto;	 /* EtherType of the tag in vlan_tci, host order */
	u16 front;	 /* how much of struct event was sent: where the bytes begin */
};

/* Whose socket it is: the packet's (skb->sk), or the one that it came to. */
enum socket_kind {
	SOCKET_NONE = 0,
	SOCKET_OF_PACKET = 1,  /* skb->sk: its sender's or receiver's */
	SOCKET_OF_REQUEST = 2, /* the listening socket of skb->sk, a connection in the making */
	SOCKET_RECEIVES = 3,   /* the packet came to it */
};

/* Who may refuse what comes to a socket (sk_filter_trim_cap). */
enum socket_filter {
	SOCKET_FILTER_KNOWN = 1 << 0,
	SOCKET_FILTER_OWN = 1 << 1,    /* the socket has a filter */
	SOCKET_FILTER_CGROUP = 1 << 2, /* its cgroup, or one above, has a program */
};

struct socket_info {
	u64 inode; /* of its file; 0: its program has closed it */
	u64 destructor; /* skb->destructor: differs for packets sent and received */
	u32 uid; /* sk_uid */
	/* The credentials of its file, which owner matches compare; valid with inode. */
	u32 file_uid;
	u32 file_gid;
	u32 kind; /* enum socket_kind */
	u32 references; /* to its file: descriptors, and calls under way */
	/* Of SOCKET_RECEIVES. */
	u32 filters;
	u32 queued; /* bytes of memory that wait to be read */
	u32 limit;  /* SO_RCVBUF */
};

struct event {
	u8 type;
	u8 hook; /* NF_* number; NO_HOOK where netfilter had no part */
	u8 pf;	 /* NFPROTO_* of the hook */
	u8 pkt_type;
	u32 flags;
	u64 time; /* CLOCK_MONOTONIC, ns */
	u64 skb;
	u64 location; /* return address into the caller of the free */
	u64 netns_cookie;
	u32 netns; /* inode number */
	u32 reason;
	u32 cpu;
	u32 length; /* skb->len: from skb->data */
	u32 mark;
	u16 protocol; /* EtherType, host order */
	u16 vlan_tci;
	u16 gso_segs;
	u16 gso_size;
	u16 header_len; /* bytes of header[] that are valid */
	u16 network_offset; /* skb->data - network header, may be negative */
	u32 pid; /* tgid */
	u32 in_ifindex;
	u32 out_ifindex;
	u32 dev_ifindex;
	char in_name[IFNAME_BYTES];
	char out_name[IFNAME_BYTES];
	char dev_name[IFNAME_BYTES];
	char comm[COMM_BYTES];
	struct packet_bytes bytes;
	struct socket_info socket;
	u64 caller; /* as location, of the function there, where that frees for others */
	u64 hook_fn; /* the only hook function left that may have dropped it */
	struct ct_info ct;
	struct rule_info rule;
	u8 header[HEADER_BYTES];
	struct ct_failure failure; /* sent only with FLAG_FAILURE, FLAG_STACK or bytes */
	struct listen_queue listen; /* as failure; of EVENT_LISTEN only */
	u64 stack[STACK_DEPTH]; /* sent only with FLAG_STACK; bytes follow */
};

/* What is sent of an event: its last members only where they hold something. */
#define EVENT_NO_STACK (sizeof(struct event) - sizeof(((struct event *)0)->stack))
#define EVENT_SHORT                                                                                \
	(EVENT_NO_STACK - sizeof(struct ct_failure) - sizeof(struct listen_queue))

#define NO_HOOK 0xff

#endif
