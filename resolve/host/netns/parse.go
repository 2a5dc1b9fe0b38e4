package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/near"
)

// Parse understands what --netns takes: a name of `ip netns` or Docker's, a
// path, pid:N, inode:N, or net:[N] as /proc and lsns show it.
//
// The error is [ErrNotFound] for one that does not exist; for a name it tells
// the names that are near. A namespace whose name itself looks like pid:5 can be
// given by its path.
func Parse(ctx context.Context, spec string) (Namespace, error) {
	if s, ok := strings.CutPrefix(spec, "pid:"); ok {
		return byPID(s)
	}
	if s, ok := strings.CutPrefix(spec, "inode:"); ok {
		return byInode(ctx, s)
	}
	if inode, ok := parseLink(spec); ok {
		return Find(ctx, inode)
	}
	if strings.Contains(spec, "/") {
		return byPath(spec)
	}
	return byName(spec)
}

// ParseAll is Parse for many; the first that fails ends it.
func ParseAll(ctx context.Context, specs []string) ([]Namespace, error) {
	var list []Namespace
	for _, spec := range specs {
		n, err := Parse(ctx, spec)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func byPID(s string) (Namespace, error) {
	pid, err := strconv.Atoi(s)
	if err != nil || pid <= 0 {
		return Namespace{}, fmt.Errorf("pid %q is not a process number", s)
	}
	path := procPath(pid, "ns/net")
	inode, err := inodeOf(path)
	if err != nil {
		return Namespace{}, fmt.Errorf("pid %d: %w", pid, notFound(path, err))
	}
	if n, ok := findNamed(inode); ok {
		return n, nil
	}
	return Namespace{Inode: inode, Path: path, PID: pid, Command: command(pid)}, nil
}

// notFound turns an error of a path that is not there into ErrNotFound. The
// kernel answers EACCES for a process that ends just then (proc_ns_get_link).
func notFound(path string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		if _, e := os.Lstat(path); errors.Is(e, os.ErrNotExist) {
			return ErrNotFound
		}
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOTDIR) {
		return ErrNotFound
	}
	return err
}

func byInode(ctx context.Context, s string) (Namespace, error) {
	inode, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return Namespace{}, fmt.Errorf("inode %q is not an inode number", s)
	}
	return Find(ctx, uint32(inode))
}

func byPath(path string) (Namespace, error) {
	nsfs, err := nsfsDevice()
	if err != nil {
		return Namespace{}, err
	}
	st, err := stat(path)
	if err != nil {
		return Namespace{}, fmt.Errorf("%q: %w", path, notFound(path, err))
	}
	// Before it is opened: a device or a FIFO would take notice.
	if st.Dev != nsfs {
		return Namespace{}, fmt.Errorf("%q: %w", path, errNotNamespace)
	}
	n := Namespace{Inode: uint32(st.Ino), Path: path}
	h, err := Open(n)
	if err != nil {
		return Namespace{}, err
	}
	defer h.Close()
	if named, ok := findNamed(n.Inode); ok {
		n.Name = named.Name
	}
	return n, nil
}

func byName(name string) (Namespace, error) {
	var (
		found Namespace
		names []string
	)
	eachNamed(append(ipDirs(), dockerDirs()...), func(n Namespace) {
		if n.Name == name && found.Inode == 0 {
			found = n
		}
		names = append(names, n.Name)
	})
	if found.Inode != 0 {
		return found, nil
	}
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		return Namespace{}, fmt.Errorf("%q: %w of that name; a number is written pid:%s or inode:%s",
			name, ErrNotFound, name, name)
	}
	if len(names) == 0 {
		return Namespace{}, fmt.Errorf("%q: %w; none has a name here: try a path or pid:N", name, ErrNotFound)
	}
	if meant := near.Names(name, names); len(meant) > 0 {
		return Namespace{}, fmt.Errorf("%q: %w; did you mean %s?", name, ErrNotFound, either(meant))
	}
	return Namespace{}, fmt.Errorf("%q: %w; `ip netns` lists those with a name", name, ErrNotFound)
}

// either joins quoted names: "a", "b" or "c". Who may make a namespace may put a
// terminal's escapes in its name.
func either(names []string) string {
	var b strings.Builder
	for i, n := range names {
		switch {
		case i > 0 && i == len(names)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(n))
	}
	return b.String()
}
