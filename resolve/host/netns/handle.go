package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

var (
	errNotNamespace = errors.New("not a network namespace")
	errExited       = errors.New("function did not return")
)

// Handle is an open namespace. While it is open the namespace lives and its
// inode means nothing else. Its methods may be called by several goroutines.
type Handle struct {
	file  *os.File
	inode uint32
}

// Open opens a namespace. Where its path leads nowhere or to another one now,
// the error is [ErrNotFound]: names, process numbers and inodes are used again.
// Another user's process needs CAP_SYS_PTRACE.
func Open(n Namespace) (*Handle, error) {
	h, err := openPath(n)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %d at %q: %w", n.Inode, n.Path, err)
	}
	return h, nil
}

func openPath(n Namespace) (*Handle, error) {
	f, err := os.Open(n.Path)
	if err != nil {
		return nil, notFound(n.Path, errors.Unwrap(err))
	}
	h := &Handle{file: f, inode: n.Inode}
	if err := h.control(h.check); err != nil {
		f.Close()
		return nil, err
	}
	return h, nil
}

// check makes sure that the file is the namespace expected.
func (h *Handle) check(fd int) error {
	// NS_GET_NSTYPE, 4.11 and later; ENOTTY for a file that is no namespace.
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return errNotNamespace
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if uint32(st.Ino) != h.inode {
		return ErrNotFound
	}
	return nil
}

// control runs fn with a descriptor that a Close meanwhile does not take away,
// so that fn never has another file's.
func (h *Handle) control(fn func(fd int) error) error {
	c, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := c.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return os.ErrClosed // the only error there is
	}
	return inner
}

// Cookie is the namespace's number, which no other has or will have: struct net's
// net_cookie. It is 0 on kernels that do not tell it (before 5.14).
func (h *Handle) Cookie() (cookie uint64, err error) {
	err = h.Do(func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		if err == unix.ENOPROTOOPT {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cookie of network namespace %d: %w", h.inode, err)
	}
	return cookie, nil
}

// Close lets the namespace go.
func (h *Handle) Close() error { return h.file.Close() }

// Do runs fn on a thread that is inside the namespace and returns its error.
// Sockets that fn opens, /proc/thread-self/net, and programs that it starts
// belong to the namespace; goroutines that it starts do not. fn runs on a
// goroutine of its own.
//
// Entering takes CAP_SYS_ADMIN, over the namespace and in the caller's user
// namespace: the error is then [unix.EPERM]. For the namespace that the caller
// is in anyway nothing is entered and nothing needed.
func (h *Handle) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errExited
		// Also where fn ends its goroutine, as testing.T's FailNow does.
		defer func() { done <- err }()
		err = h.run(fn)
	}()
	return <-done
}

// run has a goroutine to itself. Where it ends with its thread locked the
// runtime ends the thread, too.
func (h *Handle) run(fn func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// Not on the first thread: its namespace is what /proc/self/ns and
		// /proc/PID/ns show as the process's. While it waits here another
		// goroutine cannot be on it.
		defer runtime.UnlockOSThread()
		return h.Do(fn)
	}
	if inode, err := inodeOf(threadPath); err == nil && inode == h.inode {
		defer runtime.UnlockOSThread()
		return fn()
	}
	leave, err := h.enter()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %d: %w", h.inode, err)
	}
	defer func() {
		if leave() == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}

// enter moves the thread and returns the way back.
func (h *Handle) enter() (leave func() error, err error) {
	back, err := os.Open(threadPath)
	if err != nil {
		return nil, err
	}
	err = h.control(func(fd int) error { return unix.Setns(fd, unix.CLONE_NEWNET) })
	if err != nil {
		back.Close()
		return nil, err
	}
	return func() error {
		defer back.Close()
		return unix.Setns(int(back.Fd()), unix.CLONE_NEWNET)
	}, nil
}
