// Package symbol names kernel facts: the function behind an address, the drop
// reason behind a number, and what a free at that place means.
//
// [Load] and [Open] read /proc/kallsyms, [LoadReasons] reads the kernel's BTF.
// [Free.Class] tells a lost packet from a buffer that was merely given back:
// the tracepoint skb:kfree_skb fires for both. [Explain] puts the cause into
// plain words where it has only one.
//
// Places are named by function, not by number, because drop reasons came with
// 5.17 and a free with NOT_SPECIFIED may be either. The lists were made from the
// sources of Debian's 5.10.262, 6.1.192, 6.12.117 and 7.2.13 and checked against
// the call sites in their vmlinux images, inlining and tail calls included.
package symbol
