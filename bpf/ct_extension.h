/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ct_extension.h - what a conntrack entry carries besides itself: its helper, and
 * the device that it was masqueraded for.
 */
#ifndef DROPTRACE_CT_EXTENSION_H
#define DROPTRACE_CT_EXTENSION_H

#include "ct_entry.h"
#include "scratch.h"

#define EXT_HELPER 0 /* enum nf_ct_ext_id: the first two are the same, 5.10 to 7.2 */
#define EXT_NAT 1
#define NAT_HELP_BYTES 4 /* union nf_conntrack_nat_help where PPTP is built, as Debian does */
#define NFCT_DIR_REPLY 3 /* enum ip_conntrack_info: from there on packets of the reply */
#define NF_INET_POST_ROUTING 4

/* Where an entry's extensions lie: struct nf_ct_ext is in vmlinux BTF, 5.10 to 7.2. */
struct nf_ct_ext {
	u8 offset[2];
} __attribute__((preserve_access_index));

struct nf_conn___ext {
	struct nf_ct_ext *ext;
} __attribute__((preserve_access_index));

/* In the BTF of modules only, where NAT is one. */
struct nf_conn_nat {
	int masq_index;
} __attribute__((preserve_access_index));

/* An extension of the packet's entry; 0: it has none of this kind. */
static __always_inline u64 ct_extension(u64 skb_address, u32 id)
{
	struct sk_buff *skb = (void *)skb_address;
	struct nf_conn___ext *ct = (void *)(READ(skb, _nfct) & ~NFCT_INFOMASK);
	struct nf_ct_ext *ext;
	u8 offset = 0;

	if (!ct || !bpf_core_field_exists(ct->ext))
		return 0;
	ext = READ(ct, ext);
	if (!ext || !bpf_core_field_exists(ext->offset))
		return 0;
	offset = READ_AT(u8, ADDRESS(ext, offset) + id);
	return offset ? (u64)ext + offset : 0;
}

/* The kernel's own question (nf_nat_oif_changed): only that makes NAT kill an entry. */
__noinline int step_ct_other_device(u32 level)
{
	struct scratch *s = get_scratch(level);
	struct nf_conn_nat *nat = NULL;
	u32 offset = NAT_HELP_BYTES;
	s32 device = 0;
	u64 address;

	if (!s || s->event.hook != NF_INET_POST_ROUTING || s->event.ct.ctinfo >= NFCT_DIR_REPLY)
		return 0;
	address = ct_extension(s->skb, EXT_NAT);
	if (!address)
		return 0;
	if (bpf_core_field_exists(nat->masq_index))
		offset = bpf_core_field_offset(struct nf_conn_nat, masq_index);
	bpf_probe_read_kernel(&device, sizeof(device), (void *)(address + offset));
	return device > 0 && (u32)device != s->event.out_ifindex;
}

#endif
