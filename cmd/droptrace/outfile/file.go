package outfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// fifoPoll is how often Open looks whether a FIFO has got a reader.
const fifoPoll = 20 * time.Millisecond

// File is opened for writing.
type File struct {
	*os.File
	Regular bool // neither FIFO, socket nor device

	dir  int // O_PATH, where Discard removes it; -1 where it was there before
	base string
	stat unix.Stat_t
}

// Open opens or makes a file, readable only by its owner where it makes it. A file
// that exists keeps what it holds. For the reader of a FIFO it waits until ctx
// ends. Errors are of type *os.PathError; ErrLink and ErrOwner are among them.
func Open(ctx context.Context, name string) (*File, error) {
	f, err := open(ctx, name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func open(ctx context.Context, name string) (*File, error) {
	for range maxLinks {
		at, err := find(name)
		if err != nil {
			return nil, err
		}
		f, err := at.open(ctx, name)
		at.close()
		if err == unix.EEXIST {
			continue // it came between the two
		}
		return f, err
	}
	return nil, unix.EEXIST
}

// open opens what was found, or makes it.
func (f *found) open(ctx context.Context, name string) (*File, error) {
	if f.fd < 0 {
		return f.make(name)
	}
	if !f.private {
		regular := f.stat.Mode&unix.S_IFMT == unix.S_IFREG
		if !slices.Contains(owners(), f.stat.Uid) || regular && f.stat.Nlink > 1 {
			return nil, ErrOwner
		}
	}
	flags := unix.O_WRONLY | unix.O_CLOEXEC
	if f.stat.Mode&unix.S_IFMT == unix.S_IFIFO {
		flags |= unix.O_NONBLOCK
	}
	// The very file that was looked at, whatever the name means by now.
	fd, err := openReady(ctx, "/proc/self/fd/"+strconv.Itoa(f.fd), flags)
	if err != nil {
		return nil, err
	}
	return newFile(fd, name, -1, "")
}

// make makes the file. EEXIST says that somebody else just has.
func (f *found) make(name string) (*File, error) {
	dir, err := unix.FcntlInt(uintptr(f.dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat(dir, f.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		unix.Close(dir)
		return nil, err
	}
	return newFile(fd, name, dir, f.base)
}

// openReady opens a file; one with O_NONBLOCK is a FIFO, and may have to wait for
// its reader.
func openReady(ctx context.Context, path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags, 0)
		if err == unix.EINTR {
			continue
		}
		if err != unix.ENXIO || flags&unix.O_NONBLOCK == 0 {
			return fd, err
		}
		select {
		case <-ctx.Done():
			return -1, fmt.Errorf("wait for a reader: %w", context.Cause(ctx))
		case <-time.After(fifoPoll):
		}
	}
}

func newFile(fd int, name string, dir int, base string) (*File, error) {
	f := &File{File: os.NewFile(uintptr(fd), name), dir: dir, base: base}
	if err := unix.Fstat(fd, &f.stat); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.Regular = f.stat.Mode&unix.S_IFMT == unix.S_IFREG
	return f, nil
}

// Empty throws away what a regular file held, and leaves it to its owner alone.
func (f *File) Empty() error {
	if !f.Regular {
		return nil
	}
	if f.stat.Mode&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	return f.Truncate(0)
}

// Close closes the file.
func (f *File) Close() error {
	if f.dir >= 0 {
		unix.Close(f.dir)
		f.dir = -1
	}
	return f.File.Close()
}

// Discard closes the file, and removes it if Open made it and nobody has put
// another in its place.
func (f *File) Discard() error {
	var err error
	if f.dir >= 0 {
		var now unix.Stat_t
		err = unix.Fstatat(f.dir, f.base, &now, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && now.Dev == f.stat.Dev && now.Ino == f.stat.Ino {
			err = unix.Unlinkat(f.dir, f.base, 0)
		}
		if err == unix.ENOENT {
			err = nil
		}
		if err != nil {
			err = &os.PathError{Op: "remove", Path: f.Name(), Err: err}
		}
	}
	return errors.Join(err, f.Close())
}
