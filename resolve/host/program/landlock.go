package program

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	landlockRead = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockRun  = landlockRead | unix.LANDLOCK_ACCESS_FS_EXECUTE
	// landlockFile are the rights that a rule on a file may have.
	landlockFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
)

// readable are what the programs need: themselves, libraries, the names of protocols,
// marks and hosts. What is not there is left out.
func readable(program string) map[string]uint64 {
	paths := map[string]uint64{program: landlockRun, "/dev/null": landlockRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE}
	for _, path := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/run/current-system"} {
		paths[path] = landlockRun
	}
	for _, path := range []string{
		"/proc", "/sys/fs/cgroup", "/dev/urandom", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
		"/etc/passwd", "/etc/group", "/etc/protocols", "/etc/services", "/etc/networks", "/etc/ethertypes", "/etc/iproute2",
		"/etc/xtables", "/etc/nftables", "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/resolv.conf",
		"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/etc/alternatives",
	} {
		paths[path] = landlockRead
	}
	return paths
}

// restrict has Landlock, where the kernel has it (5.13), keep the thread and its
// children from all files but [readable] ones, from writing any, from other's
// processes, and in a namespace from TCP.
func restrict(c Command) error {
	version := landlockVersion()
	if version == 0 {
		return nil
	}
	fd, err := newRuleset(version, c.Namespace != nil)
	if err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	defer unix.Close(fd)
	for path, rights := range readable(c.Path) {
		if err := allow(fd, path, rights); err != nil {
			return fmt.Errorf("landlock: %s: %w", path, err)
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(fd), 0, 0); e != 0 {
		return fmt.Errorf("landlock: %w", e)
	}
	return nil
}

// landlockVersion is the kernel's, 0 where it has none or it is turned off.
func landlockVersion() int {
	v, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(v)
}

// newRuleset makes a set of rules that refuses all that this version knows of.
func newRuleset(version int, network bool) (int, error) {
	// Of uapi linux/landlock.h. Rights of files: 13 with version 1, then one each with
	// 2 (5.19), 3 (6.2) and 5 (6.10).
	attr := struct{ fs, net, scoped uint64 }{fs: 1<<13 - 1}
	for i, since := range []int{2, 3, 5} {
		if version >= since {
			attr.fs |= 1 << (13 + i)
		}
	}
	size := unsafe.Sizeof(attr.fs)
	if version >= 4 { // 6.7
		size += unsafe.Sizeof(attr.net)
		if network {
			attr.net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}
	}
	if version >= 6 { // 6.12; not signals, which Go's threads send each other
		size += unsafe.Sizeof(attr.scoped)
		attr.scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	fd, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if e != 0 {
		return -1, e
	}
	return int(fd), nil
}

// allow gives the rights on a file, or on all beneath a directory.
func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= landlockFile
	}
	// struct landlock_path_beneath_attr is packed: u64, s32.
	var attr [12]byte
	*(*uint64)(unsafe.Pointer(&attr[0])) = rights
	*(*int32)(unsafe.Pointer(&attr[8])) = int32(fd)
	_, _, e := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if e != 0 {
		return os.NewSyscallError("landlock_add_rule", e)
	}
	return nil
}
