/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * read.h - reading the kernel's memory at an address.
 *
 * What the verifier knows the type of is read by a plain load, which the kernel
 * guards as it does the helper: a fault gives 0. bpf_rdonly_cast (6.2 and later)
 * gives a type to any address: ten instructions where the helper takes a hundred.
 */
#ifndef DROPTRACE_READ_H
#define DROPTRACE_READ_H

#include "kernel.h"

/* Whether to: Go knows whether this kernel can. */
const volatile bool direct_reads = 0;

/* Bits above which a kernel address is all ones: 47, 56 with five-level paging,
 * 52 on arm64. Go knows. */
const volatile u32 address_shift = 47;

extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym __weak;

/* Stands for anything that begins with a number: it is one on every kernel. */
struct timespec64 {
	s64 tv_sec;
};

static __always_inline const void *cast_address(u64 address)
{
	return bpf_rdonly_cast((const void *)address, bpf_core_type_id_kernel(struct timespec64));
}

/* A number or pointer of at most eight bytes. */
#define READ_AT(type, address)                                                                     \
	({                                                                                         \
		type value_ = 0;                                                                   \
		u64 address_ = (u64)(address);                                                     \
		if (direct_reads)                                                                  \
			value_ = *(const volatile type *)cast_address(address_);                   \
		else                                                                               \
			bpf_probe_read_kernel(&value_, sizeof(value_), (void *)address_);          \
		value_;                                                                            \
	})

/* The same of a member, which CO-RE finds; 0 where this kernel has no such member: a
 * type that is missing takes no more with it than what would be read of it. */
#define READ(object, member)                                                                       \
	({                                                                                         \
		typeof((object)->member) member_ = 0;                                              \
		if (bpf_core_field_exists((object)->member))                                       \
			member_ = READ_AT(typeof((object)->member), &(object)->member);            \
		member_;                                                                           \
	})

/* Where a member lies; 0 where this kernel has no such member. */
#define ADDRESS(object, member)                                                                    \
	({                                                                                         \
		u64 at_ = 0;                                                                       \
		if (bpf_core_field_exists((object)->member))                                       \
			at_ = (u64)&(object)->member;                                              \
		at_;                                                                               \
	})

/*
 * Kernels up to 5.x warn, once and loudly, when a probe reads at an address that
 * is not canonical: words of unknown meaning are checked first.
 */
static __always_inline bool is_kernel_address(u64 p)
{
	return (s64)p >> address_shift == -1 && p < (u64)-4096; /* no ERR_PTR */
}

static __always_inline u64 read_u64(u64 address)
{
	return is_kernel_address(address) ? READ_AT(u64, address) : 0;
}

/* Puts a name's next eight bytes; false where it ends in them: what follows the
 * NUL may be left from a longer one. */
static __always_inline bool put_name(u64 *to, u64 word)
{
	u64 nul = (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;

	if (nul)
		word &= ((nul & -nul) >> 7) - 1;
	*to = word;
	return !nul;
}

/* A string of unknown length: whole words may be read where it begins with one,
 * because none of them lies on two pages. `to` holds zeros. */
static __always_inline void read_name(char *to, u32 size, u64 from)
{
	u64 *words = (u64 *)to;

	if (!direct_reads || from & 7) {
		bpf_probe_read_kernel_str(to, size, (void *)from);
		return;
	}
	for (u32 i = 0; i < size / 8; i++)
		if (!put_name(&words[i], READ_AT(u64, from + i * 8)))
			return;
	to[size - 1] = 0;
}

#endif
