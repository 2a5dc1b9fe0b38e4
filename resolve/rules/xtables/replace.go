package xtables

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// optReplace is IPT_SO_SET_REPLACE, the same as IP6T_SO_SET_REPLACE.
const optReplace = 64

// Offsets in struct ipt_replace and ip6t_replace of a 64-bit kernel, uapi
// linux/netfilter_ipv4/ip_tables.h.
const (
	replaceHooks    = tableNameSize // u32 valid_hooks, num_entries, size, hook_entry[5], underflow[5]
	replaceCounters = 84            // u32 num_counters, then the pointer to them
	replaceHead     = 96
	counterSize     = 16 // struct xt_counters
)

// Replace gives the namespace the blob's rules in place of its own table of that name.
// It is for namespaces of our own: the table is made where there is none. Counters
// begin at 0.
func Replace(ns Namespace, b *Blob) error {
	err := ns.Do(func() error {
		domain, level := unix.AF_INET, unix.IPPROTO_IP
		if b.ID.Family == "ip6" {
			domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
		}
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open socket: %w", err)
		}
		defer unix.Close(fd)
		return b.replace(fd, level)
	})
	if err != nil {
		return fmt.Errorf("load iptables-legacy table %q of %s: %w", b.ID.Name, b.ID.Family, err)
	}
	return nil
}

func (b *Blob) replace(fd, level int) error {
	old, err := readInfo(b.ID.Name, func(option int, buf []byte) error {
		size := uint32(len(buf))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		return asError(errno)
	})
	if err != nil {
		return err
	}
	// The kernel writes the old table's counters there, and wants room for just as many.
	counters := make([]byte, max(1, old.Number)*counterSize)
	buf := make([]byte, replaceHead, replaceHead+len(b.raw))
	copy(buf, b.ID.Name)
	fields := []uint32{b.ValidHooks, b.Number, b.Size}
	fields = append(append(fields, b.HookEntry[:]...), b.Underflow[:]...)
	for i, v := range fields {
		binary.NativeEndian.PutUint32(buf[replaceHooks+4*i:], v)
	}
	binary.NativeEndian.PutUint32(buf[replaceCounters:], old.Number)
	binary.NativeEndian.PutUint64(buf[replaceCounters+4:], uint64(uintptr(unsafe.Pointer(&counters[0]))))
	buf = append(buf, b.raw...)
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), optReplace,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
	runtime.KeepAlive(counters)
	return asError(errno)
}

func asError(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// Extensions are the names of the matches and targets that the rules use, each once.
func (b *Blob) Extensions() (names []string) {
	seen := make(map[string]bool)
	note := func(p part) {
		if len(p) < partHead {
			return
		}
		if name := string(p.name()); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for i := range b.Entries {
		b.eachMatch(&b.Entries[i], note)
		note(b.target(&b.Entries[i]))
	}
	return names
}
