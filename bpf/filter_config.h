/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter_config.h - what Go configures a filter by: tracer/filter mirrors it.
 */
#ifndef DROPTRACE_FILTER_CONFIG_H
#define DROPTRACE_FILTER_CONFIG_H

#include "event.h"

/* Room in its lists; what does not fit Go leaves out and decides by itself. */
#define FILTER_PORTS 16
#define FILTER_PREFIXES 16
#define FILTER_IFACES 8
#define FILTER_NETNS 16
#define FILTER_REASONS 32
#define FILTER_MARKS 4
#define FILTER_TAGS 2	    /* VLAN tags in the bytes: maxTags of tracer/packet */
#define FILTER_EXTENSIONS 8 /* IPv6 extension headers: MaxExtensions of it */

/*
 * The conditions: one bit for each flag of the command line. Lists are OR and
 * flags AND: whatever fits sets its flag's bit, and all wanted bits must be set.
 */
enum filter_condition {
	FILTER_PORT = 1 << 0,
	FILTER_SPORT = 1 << 1,
	FILTER_DPORT = 1 << 2,
	FILTER_HOST = 1 << 3,
	FILTER_SRC = 1 << 4,
	FILTER_DST = 1 << 5,
	FILTER_IFACE = 1 << 6,
	FILTER_IN = 1 << 7,
	FILTER_OUT = 1 << 8,
	FILTER_PROTO = 1 << 9,
	FILTER_IN_NETNS = 1 << 10,
	FILTER_HOOK = 1 << 11,
	FILTER_REASON = 1 << 12,
	FILTER_MARK = 1 << 13,
	FILTER_NETFILTER = 1 << 14,

	FILTER_ANY_IFACE = FILTER_IFACE | FILTER_IN | FILTER_OUT,
	FILTER_FLOW = FILTER_PORT | FILTER_SPORT | FILTER_DPORT | FILTER_HOST | FILTER_SRC |
		      FILTER_DST | FILTER_PROTO, /* those that need the headers */
};

/* Hooks by their names; the numbers of the kernel differ by family. */
enum filter_hook {
	HOOK_BIT_PREROUTING = 1 << 0,
	HOOK_BIT_INPUT = 1 << 1,
	HOOK_BIT_FORWARD = 1 << 2,
	HOOK_BIT_OUTPUT = 1 << 3,
	HOOK_BIT_POSTROUTING = 1 << 4,
	HOOK_BIT_INGRESS = 1 << 5,
	HOOK_BIT_EGRESS = 1 << 6,
};

struct filter_port {
	u16 first; /* host order, both ends belong to the range */
	u16 last;
	u16 src; /* conditions met by a source port in it */
	u16 dst; /* ... by a destination port */
};

struct filter_prefix {
	u32 address[4]; /* network order, 0 where mask is; IPv4 in the first */
	u32 mask[4];
	u16 family; /* 4 or 6 */
	u16 src;
	u16 dst;
	u16 pad;
};

struct filter_iface {
	u8 name[IFNAME_BYTES]; /* 0 where mask is */
	u8 mask[IFNAME_BYTES]; /* over the NUL too, unless any ending will do */
	u16 in;
	u16 out;
	u16 dev; /* conditions met by the packet's own device */
	u16 pad;
};

struct filter_mark {
	u32 value;
	u32 mask;
};

struct filter_config {
	u32 want; /* enum filter_condition */
	u32 hooks; /* enum filter_hook */
	u8 ports;  /* how many of each list below are in use */
	u8 prefixes;
	u8 ifaces;
	u8 netns;
	u8 reasons;
	u8 marks;
	u8 pad[2];
	u64 protocols[4]; /* a bit for each */
	struct filter_port port[FILTER_PORTS];
	struct filter_prefix prefix[FILTER_PREFIXES];
	struct filter_iface iface[FILTER_IFACES];
	struct filter_mark mark[FILTER_MARKS];
	u32 inode[FILTER_NETNS];
	u32 reason[FILTER_REASONS];
};

#endif
