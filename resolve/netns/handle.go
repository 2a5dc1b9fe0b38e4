package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Handle is an open namespace. While it is open the namespace lives.
type Handle struct {
	file  *os.File
	inode uint32
	own   bool
}

// Open opens a namespace. Where its path now leads to another one the error is
// ErrNotFound: inodes and process numbers are used again.
func Open(n Namespace) (*Handle, error) {
	f, err := os.Open(n.Path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = ErrNotFound
		}
		return nil, fmt.Errorf("open network namespace %d: %w", n.Inode, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("open network namespace %d: %w", n.Inode, err)
	}
	if uint32(st.Ino) != n.Inode {
		f.Close()
		return nil, fmt.Errorf("open network namespace %d: %w", n.Inode, ErrNotFound)
	}
	own, err := Current()
	return &Handle{file: f, inode: n.Inode, own: err == nil && own.Inode == n.Inode}, nil
}

// FD is the open file; it belongs to the handle.
func (h *Handle) FD() int { return int(h.file.Fd()) }

// Inode names the namespace on this machine.
func (h *Handle) Inode() uint32 { return h.inode }

// Close lets the namespace go.
func (h *Handle) Close() error { return h.file.Close() }

// Do runs fn on a thread that is inside the namespace; programs started there
// are inside too. For a namespace other than the process's own it takes
// CAP_SYS_ADMIN.
func (h *Handle) Do(fn func() error) error {
	if h.own {
		return fn()
	}
	done := make(chan error, 1)
	go func() { done <- h.doLocked(fn) }()
	return <-done
}

// doLocked has a goroutine, hence a thread, to itself: where the way back fails
// the thread stays locked and the runtime ends it.
func (h *Handle) doLocked(fn func() error) error {
	runtime.LockOSThread()
	back, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %d: %w", h.inode, err)
	}
	defer back.Close()
	if err := unix.Setns(h.FD(), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %d: %w", h.inode, err)
	}
	err = fn()
	if e := unix.Setns(int(back.Fd()), unix.CLONE_NEWNET); e == nil {
		runtime.UnlockOSThread()
	}
	return err
}
