// Package scratch keeps a network namespace of our own to try things in: a saved
// ruleset is loaded there by the very programs that would load it for real, a
// change is made to it, and the outcome is read back as from any namespace.
//
// The namespace has no name, and no process lives in it; a descriptor holds it.
// However the process ends, nothing is left behind. No packet enters or leaves:
// there is nothing but a loopback that is down, and interfaces without a
// connection that stand in for those a ruleset names.
//
// Kernel modules are shared by all namespaces, and a ruleset asks for modules.
// What would load one that is not in the kernel is refused: see [ErrModule].
package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/program"
)

// ErrPrivilege is returned where this process may not make a network namespace.
// [Again] may make one in a user namespace of its own.
var ErrPrivilege = errors.New("making a network namespace needs CAP_SYS_ADMIN")

// Namespace is a network namespace that nothing else uses. It serves as the
// Namespace of resolve/rules/nftables and resolve/rules/xtables.
type Namespace struct {
	*netns.Handle
	kernel   kernel
	programs program.Runner
	devices  []string // stand-ins that were made
	// indexes are those of the interfaces that a copy's rules come from, by name.
	indexes map[string]int
	handles handles // of a copy's rules
}

// New makes a namespace. Close it.
func New(ctx context.Context) (*Namespace, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("make scratch namespace: %w", err)
	}
	made := make(chan error, 1)
	var h *netns.Handle
	go unshare(made, func() error {
		current, err := netns.Current()
		if err != nil {
			return err
		}
		h, err = netns.Open(current)
		return err
	})
	err := <-made
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("make scratch namespace: %w", ErrPrivilege)
	}
	if err != nil {
		return nil, fmt.Errorf("make scratch namespace: %w", err)
	}
	return &Namespace{Handle: h, kernel: kernel{root: "/"}, programs: program.Runner{Timeout: programTimeout}}, nil
}

// unshare runs fn in a new network namespace, on a thread that ends with it.
func unshare(done chan<- error, fn func() error) {
	runtime.LockOSThread() // and never unlock
	if unix.Gettid() == unix.Getpid() {
		// The first thread cannot end, and /proc/self shows its namespace.
		// While it waits here another is taken.
		defer runtime.UnlockOSThread()
		inner := make(chan error, 1)
		go unshare(inner, fn)
		done <- <-inner
		return
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		done <- fmt.Errorf("unshare network namespace: %w", err)
		return
	}
	done <- fn()
}
