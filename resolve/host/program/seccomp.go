package program

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuseUnixSockets keeps the thread and its children from sockets of the machine's
// services: those of containerd and others are open to root's group, no network
// namespace parts them, and Landlock only abstract ones. io_uring makes sockets, too.
// It does nothing where the kernel has no such filters, or for other architectures.
func refuseUnixSockets() error {
	filter := socketFilter(runtime.GOARCH)
	if filter == nil {
		return nil
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)))
	if e != 0 && e != unix.EINVAL {
		return fmt.Errorf("set seccomp filter: %w", e)
	}
	return nil
}

// filtersCalls reports whether refuseUnixSockets does something.
func filtersCalls() bool {
	return socketFilter(runtime.GOARCH) != nil && unix.Prctl(unix.PR_GET_SECCOMP, 0, 0, 0, 0) == nil
}

// socketFilter is a program on struct seccomp_data (uapi linux/seccomp.h); nil for
// architectures that are big-endian, or have socketcall. Calls by another
// architecture's numbers are refused.
func socketFilter(architecture string) []unix.SockFilter {
	audit := map[string]uint32{
		"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64,
		"riscv64": unix.AUDIT_ARCH_RISCV64, "loong64": unix.AUDIT_ARCH_LOONGARCH64,
	}[architecture]
	if audit == 0 {
		return nil
	}
	const (
		number, arch, firstArgument = 0, 4, 16 // offsets
		x32                         = 0x40000000

		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		least = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		end   = unix.BPF_RET | unix.BPF_K
	)
	return []unix.SockFilter{
		{Code: load, K: arch},
		{Code: equal, K: audit, Jf: 7},
		{Code: load, K: number},
		{Code: least, K: x32, Jt: 5},
		{Code: equal, K: unix.SYS_IO_URING_SETUP, Jt: 4},
		{Code: equal, K: unix.SYS_SOCKET, Jf: 2},
		{Code: load, K: firstArgument},
		{Code: equal, K: unix.AF_UNIX, Jt: 1},
		{Code: end, K: unix.SECCOMP_RET_ALLOW},
		{Code: end, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)},
	}
}
