// Package netns finds, names and enters network namespaces.
//
// A namespace is known by its inode number on nsfs, the number in brackets of
// `readlink /proc/PID/ns/net`. It is unique among the namespaces that live, of
// whatever kind, and is given out again after one has gone: hence [Open] checks
// it, and an open [Handle] keeps it from being reused.
//
// Found are namespaces that have a name or a process. Those kept only by an
// open file, a socket, or a thread that left its process are not.
package netns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotFound is returned for a namespace that does not exist, or no longer.
var ErrNotFound = errors.New("no such network namespace")

// Namespace says where one network namespace of the machine was found.
type Namespace struct {
	Inode uint32
	// Name as `ip netns` knows it, empty where it has none. A container's
	// namespace without a process bears the name Docker gave it.
	Name string
	// Path can be opened: /run/netns/NAME or /proc/PID/ns/net.
	Path string
	// PID is the lowest of the processes in it, and Command that one's name as
	// /proc/PID/comm has it. Both are looked for only where there is no Name.
	PID     int
	Command string
}

// threadPath is the namespace of the thread that opens it. /proc/self would be
// that of the process's first thread, which need not be where the caller is.
const threadPath = "/proc/thread-self/ns/net"

// Current is the namespace of the calling goroutine: the process's own, inside
// [Handle.Do] that of the handle. It has no Name, see [Find], and its Path means
// something to this process alone. No privilege is needed.
func Current() (Namespace, error) {
	inode, err := currentInode()
	if err != nil {
		return Namespace{}, fmt.Errorf("current network namespace: %w", err)
	}
	pid := os.Getpid()
	return Namespace{Inode: inode, Path: threadPath, PID: pid, Command: command(pid)}, nil
}

func currentInode() (uint32, error) {
	// Between looking up thread-self and the thread's own links the goroutine
	// must not move.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return inodeOf(threadPath)
}

// inodeOf reads /proc/…/ns/net. Without CAP_SYS_PTRACE it is refused for other
// processes. So is stat, but on 5.10 that answers with the link's own inode
// number, which is no namespace's (seen on Debian 5.10.0-46).
func inodeOf(path string) (uint32, error) {
	var buf [64]byte
	n, err := unix.Readlink(path, buf[:])
	if err == nil && n == 0 {
		err = unix.EACCES // as 6.1 says; 5.10 shows an empty link
	}
	if err != nil {
		return 0, &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	inode, ok := parseLink(string(buf[:n]))
	if !ok {
		return 0, &os.PathError{Op: "readlink", Path: path, Err: errNotNamespace}
	}
	return inode, nil
}

// parseLink reads net:[4026531840], as /proc and lsns show a namespace.
func parseLink(s string) (uint32, bool) {
	s, ok := strings.CutPrefix(s, "net:[")
	if !ok {
		return 0, false
	}
	s, ok = strings.CutSuffix(s, "]")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(s, 10, 32)
	return uint32(inode), err == nil && inode != 0
}

// command is a process's name, "" where it has gone.
func command(pid int) string {
	b, err := os.ReadFile(procPath(pid, "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

func procPath(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}

// Find returns the namespace with that inode. The error is [ErrNotFound] where
// it has neither name nor process, or none that may be looked at.
func Find(ctx context.Context, inode uint32) (Namespace, error) {
	if n, ok := findNamed(inode); ok {
		return n, nil
	}
	// No walk through /proc for the one asked for most.
	if n, err := Current(); err == nil && n.Inode == inode {
		return n, nil
	}
	l, err := Look(ctx)
	if err != nil {
		return Namespace{}, fmt.Errorf("find network namespace %d: %w", inode, err)
	}
	return l.Find(inode)
}

// Find is the function of that name for what was found before.
func (l *Listing) Find(inode uint32) (Namespace, error) {
	i, ok := slices.BinarySearchFunc(l.Namespaces, inode, func(n Namespace, inode uint32) int { return cmp.Compare(n.Inode, inode) })
	if ok {
		return l.Namespaces[i], nil
	}
	if l.Refused > 0 {
		return Namespace{}, fmt.Errorf("inode %d: %w (%d processes may not be looked at without CAP_SYS_PTRACE)",
			inode, ErrNotFound, l.Refused)
	}
	return Namespace{}, fmt.Errorf("inode %d: %w", inode, ErrNotFound)
}
