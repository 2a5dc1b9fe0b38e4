package calibrate

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that exists only as long as the one thread
// that entered it: nothing has to be removed, a killed droptrace leaves nothing.
type Namespace struct {
	Inode uint32
	work  chan func() error
	done  chan error
}

// NewNamespace makes one with its loopback up. It needs CAP_SYS_ADMIN.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{work: make(chan func() error), done: make(chan error)}
	go n.serve()
	if err := n.Do(n.enter); err != nil {
		close(n.work)
		return nil, fmt.Errorf("make calibration namespace: %w", err)
	}
	return n, nil
}

// serve keeps its thread locked to the end: it is in another namespace and the
// runtime must not use it again. The process's first thread is never taken: the
// runtime cannot end that one, and /proc/self would show its namespace.
func (n *Namespace) serve() {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread() // another thread: the first is held until then
			close(started)
			n.run()
		}()
		<-started
		runtime.UnlockOSThread()
		return
	}
	n.run()
}

func (n *Namespace) run() {
	for fn := range n.work {
		n.done <- fn()
	}
}

// Do runs fn on the namespace's thread.
func (n *Namespace) Do(fn func() error) error {
	n.work <- fn
	return <-n.done
}

func (n *Namespace) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		return err
	}
	n.Inode = uint32(stat.Ino)
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Close ends the thread, and the namespace with it.
func (n *Namespace) Close() error {
	close(n.work)
	return nil
}

// send sends one small UDP datagram to a port of the loopback. It was made to
// be dropped: EPERM is what success looks like.
func send(port uint16) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(s)
	to := &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}
	err = unix.Sendto(s, []byte("droptrace"), 0, to)
	if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("send to port %d: %w", port, err)
	}
	return nil
}
