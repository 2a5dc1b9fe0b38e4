// Package netns finds, names and enters network namespaces.
package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotFound is returned for a namespace that does not exist, or no longer.
var ErrNotFound = errors.New("no such network namespace")

// Namespace is one network namespace of the machine.
type Namespace struct {
	Inode   uint32
	Name    string // as `ip netns` calls it; empty for most containers
	Path    string // what can be opened: /run/netns/x or /proc/PID/ns/net
	PID     int    // the lowest of its processes, where it has no name
	Command string
}

// nameDirs hold bind mounts of named namespaces: ip netns, Docker.
func nameDirs() []string { return []string{"/run/netns", "/run/docker/netns"} }

// Current is the namespace of the calling process.
func Current() (Namespace, error) {
	const path = "/proc/self/ns/net"
	inode, err := inodeOf(path)
	if err != nil {
		return Namespace{}, fmt.Errorf("own network namespace: %w", err)
	}
	return Namespace{Inode: inode, Path: path, PID: os.Getpid()}, nil
}

func inodeOf(path string) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return uint32(st.Ino), nil
}

// List returns every namespace that has a name or a process, each once. Those
// of processes that may not be looked at (CAP_SYS_PTRACE) are left out.
func List(ctx context.Context) ([]Namespace, error) {
	found := make(map[uint32]Namespace)
	for _, dir := range nameDirs() {
		listNamed(dir, found)
	}
	if err := listProcesses(ctx, found); err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	out := make([]Namespace, 0, len(found))
	for _, n := range found {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b Namespace) int { return int(int64(a.Inode) - int64(b.Inode)) })
	return out, nil
}

func listNamed(dir string, found map[uint32]Namespace) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // no such folder: nothing is named there
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !isNamespace(path) {
			continue
		}
		if inode, err := inodeOf(path); err == nil {
			if _, known := found[inode]; !known {
				found[inode] = Namespace{Inode: inode, Name: e.Name(), Path: path}
			}
		}
	}
}

// isNamespace keeps out plain files, which `ip netns` leaves behind at times.
func isNamespace(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

func listProcesses(ctx context.Context, found map[uint32]Namespace) error {
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		path := "/proc/" + name + "/ns/net"
		inode, err := inodeOf(path)
		if err != nil {
			continue // gone, or not ours to look at
		}
		known, ok := found[inode]
		if ok && (known.Name != "" || known.PID <= pid) {
			continue
		}
		found[inode] = Namespace{Inode: inode, Path: path, PID: pid}
	}
	for inode, n := range found {
		if n.PID != 0 {
			n.Command = command(n.PID)
			found[inode] = n
		}
	}
	return nil
}

func command(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// Find returns the namespace with that inode, or ErrNotFound.
func Find(ctx context.Context, inode uint32) (Namespace, error) {
	if own, err := Current(); err == nil && own.Inode == inode {
		return own, nil
	}
	all, err := List(ctx)
	if err != nil {
		return Namespace{}, err
	}
	for _, n := range all {
		if n.Inode == inode {
			return n, nil
		}
	}
	return Namespace{}, fmt.Errorf("inode %d: %w", inode, ErrNotFound)
}

// Parse understands what --netns takes: a name, a path, pid:N, inode:N, or
// net:[N] as /proc shows it.
func Parse(ctx context.Context, spec string) (Namespace, error) {
	switch {
	case strings.HasPrefix(spec, "pid:"):
		return byPID(strings.TrimPrefix(spec, "pid:"))
	case strings.HasPrefix(spec, "inode:"):
		return byInode(ctx, strings.TrimPrefix(spec, "inode:"))
	case strings.HasPrefix(spec, "net:[") && strings.HasSuffix(spec, "]"):
		return byInode(ctx, spec[len("net:["):len(spec)-1])
	case strings.Contains(spec, "/"):
		if !isNamespace(spec) {
			return Namespace{}, fmt.Errorf("%s: %w", spec, ErrNotFound)
		}
		inode, err := inodeOf(spec)
		return Namespace{Inode: inode, Path: spec}, err
	}
	return byName(spec)
}

func byPID(s string) (Namespace, error) {
	pid, err := strconv.Atoi(s)
	if err != nil || pid <= 0 {
		return Namespace{}, fmt.Errorf("pid %q: not a process number", s)
	}
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	inode, err := inodeOf(path)
	if err != nil {
		return Namespace{}, fmt.Errorf("pid %d: %w", pid, ErrNotFound)
	}
	return Namespace{Inode: inode, Path: path, PID: pid, Command: command(pid)}, nil
}

func byInode(ctx context.Context, s string) (Namespace, error) {
	inode, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return Namespace{}, fmt.Errorf("inode %q: not a number", s)
	}
	return Find(ctx, uint32(inode))
}

func byName(name string) (Namespace, error) {
	var names []string
	for _, dir := range nameDirs() {
		found := make(map[uint32]Namespace)
		listNamed(dir, found)
		for _, n := range found {
			if n.Name == name {
				return n, nil
			}
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return Namespace{}, fmt.Errorf("%s: %w (none has a name; try pid:N)", name, ErrNotFound)
	}
	return Namespace{}, fmt.Errorf("%s: %w (there are %s)", name, ErrNotFound, strings.Join(names, ", "))
}
