package outfile

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Reasons for which a file is not opened.
var (
	ErrLink  = errors.New("a symbolic link in a directory that others may write to is not followed")
	ErrOwner = errors.New("in a directory that others may write to, an existing file must belong to root or to you, under one name")
)

// maxLinks is the kernel's own limit (path_resolution(7)).
const maxLinks = 40

// owners whose directories and files are trusted.
func owners() []uint32 {
	list := []uint32{0, uint32(os.Geteuid())}
	if id, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 32); err == nil {
		list = append(list, uint32(id))
	}
	return list
}

// walker follows a name, one component after the other.
type walker struct {
	owners []uint32
	dir    int // O_PATH, ours to close
	rest   []string
	links  int
	// foreign: a link of /proc led to a directory (root, cwd). What belongs to root
	// there may be a container's.
	foreign bool
}

// found is the last component of a name.
type found struct {
	fd      int // O_PATH; -1 where there is no such file
	stat    unix.Stat_t
	dir     int    // where it is, O_PATH
	base    string // its name there
	private bool   // nobody else writes to dir
}

func (f *found) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
	unix.Close(f.dir)
}

// find follows name to its last component, which need not exist. The error has no
// name in it.
func find(name string) (*found, error) {
	if name == "" {
		return nil, unix.ENOENT
	}
	if strings.HasSuffix(name, "/") {
		return nil, unix.EISDIR
	}
	w := &walker{owners: owners(), dir: -1}
	defer func() { unix.Close(w.dir) }()
	if err := w.restart(name, "."); err != nil {
		return nil, err
	}
	for {
		f, err := w.step()
		if f != nil || err != nil {
			return f, err
		}
	}
}

// restart goes on with a name: from the root where it is absolute, else from base,
// or where it is where base is empty.
func (w *walker) restart(name, base string) error {
	w.rest = append(strings.Split(name, "/"), w.rest...)
	if strings.HasPrefix(name, "/") {
		base = "/"
	}
	if base == "" {
		return nil
	}
	dir, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.enter(dir)
	return nil
}

func (w *walker) enter(dir int) {
	if w.dir >= 0 {
		unix.Close(w.dir)
	}
	w.dir = dir
}

// step takes one component. Both results are nil where more follow.
func (w *walker) step() (*found, error) {
	base := w.rest[0]
	w.rest = w.rest[1:]
	last := len(w.rest) == 0
	if base == "" {
		base = "." // as in a//b
	}
	f := found{fd: -1, base: base}
	fd, err := unix.Openat(w.dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil && !(last && err == unix.ENOENT) {
		return nil, err
	}
	if err == nil {
		f.fd = fd
		if f.fd, err = w.link(fd, base); f.fd < 0 || err != nil {
			return nil, err // an error, or a link whose target is in w.rest
		}
		if err := unix.Fstat(f.fd, &f.stat); err != nil {
			unix.Close(f.fd)
			return nil, err
		}
	}
	if !last {
		w.enter(f.fd) // the next openat says ENOTDIR where it is none
		return nil, nil
	}
	if f.private, err = w.private(); err == nil {
		f.dir, err = unix.FcntlInt(uintptr(w.dir), unix.F_DUPFD_CLOEXEC, 0)
	}
	if err != nil {
		if f.fd >= 0 {
			unix.Close(f.fd)
		}
		return nil, err
	}
	return &f, nil
}

// link returns fd where it is no link. Of a link it goes on with the target and
// returns -1, but for those of /proc/PID/fd and the like: only the kernel can
// follow them.
func (w *walker) link(fd int, base string) (int, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		return fd, nil
	}
	defer unix.Close(fd)
	if err != nil {
		return -1, err
	}
	private, err := w.private()
	if err != nil {
		return -1, err
	}
	if !private {
		return -1, ErrLink
	}
	if w.links++; w.links > maxLinks {
		return -1, unix.ELOOP
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(w.dir, &fs); err != nil {
		return -1, err
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		return w.jump(base)
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return -1, err
	}
	return -1, w.restart(string(target[:n]), "")
}

// jump has the kernel follow a link of /proc.
func (w *walker) jump(base string) (int, error) {
	to, err := unix.Openat(w.dir, base, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var stat unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Fstat(to, &stat), unix.Fstatfs(to, &fs)); err != nil {
		unix.Close(to)
		return -1, err
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR && fs.Type != unix.PROC_SUPER_MAGIC {
		w.foreign = true
	}
	return to, nil
}

// private reports whether nobody but the owners may write to the directory.
func (w *walker) private() (bool, error) {
	if w.foreign {
		return false, nil
	}
	var stat unix.Stat_t
	if err := unix.Fstat(w.dir, &stat); err != nil {
		return false, err
	}
	return stat.Mode&0o022 == 0 && slices.Contains(w.owners, stat.Uid), nil
}
