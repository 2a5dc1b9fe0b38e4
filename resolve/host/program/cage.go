package program

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// nobody is the user that programs run as, the kernel's overflow uid, which owns
	// nothing. The group stays root's: /proc/net/ip_tables_names has mode 0440.
	nobody    = 65534
	rootGroup = 0
)

// cage is what the calling thread, which must end with the program, gives to it.
type cage struct {
	user    *syscall.Credential // nil to stay who we are
	network uint64              // capabilities it keeps, a bit each
	trace   bool                // stop it at its first instruction, to limit it
}

// newCage takes from the calling thread all that its child must not have.
func newCage(c Command) (*cage, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := refuseUnixSockets(); err != nil {
		return nil, err
	}
	held, err := effective()
	if err != nil {
		return nil, err
	}
	g := &cage{trace: true}
	if c.Namespace != nil {
		g.network = held & (1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW)
	}
	// Ambient capabilities would pass to any program. Kernels have them since 4.3.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("clear ambient capabilities: %w", err)
	}
	if held>>unix.CAP_SETPCAP&1 != 0 {
		dropBounding(g.network)
	}
	if otherUser(held) {
		g.user = &syscall.Credential{Uid: nobody, Gid: rootGroup}
	} else if err := g.keepUser(); err != nil {
		return nil, err
	}
	return g, restrict(c)
}

// keepUser leaves the thread's user as it is, and only the capabilities of the cage.
func (g *cage) keepUser() error {
	g.user = nil
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for i := range sets {
		bits := uint32(g.network >> (32 * i))
		sets[i] = unix.CapUserData{Effective: bits, Permitted: bits, Inheritable: bits}
	}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// attributes are for the fork. Capabilities of the thread that are not ambient end
// with exec, as the user is not root; where it is, the thread has no more.
func (g *cage) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Credential: g.user, Pdeathsig: unix.SIGKILL, Setsid: true, Ptrace: g.trace}
	for c := range uintptr(64) {
		if g.network>>c&1 != 0 {
			a.AmbientCaps = append(a.AmbientCaps, c)
		}
	}
	return a
}

// effective are the thread's capabilities, a bit each.
func effective() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return uint64(sets[0].Effective) | uint64(sets[1].Effective)<<32, nil
}

// dropBounding takes from the bounding set what is not kept. It ends at the first
// number that the kernel does not know.
func dropBounding(keep uint64) {
	for c := uintptr(0); c < 64; c++ {
		if keep>>c&1 == 0 && unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			return
		}
	}
}

// otherUser reports whether a child can be made nobody: with these capabilities, of
// which KILL is for ending it, in a user namespace that has nobody and root's group.
func otherUser(held uint64) bool {
	const needed = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL
	return held&needed == needed && mapped("/proc/thread-self/uid_map", nobody) && mapped("/proc/thread-self/gid_map", rootGroup)
}

// mapped reports whether the user namespace has the number: lines of first, outside,
// count.
func mapped(path string, number uint64) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			continue
		}
		first, err := strconv.ParseUint(fields[0], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err == nil && err2 == nil && number >= first && number-first < count {
			return true
		}
	}
	return false
}

// keepDescriptors has no file of this process pass to a program. Go opens all files
// so, but a shell or a supervisor may have left it others.
func keepDescriptors() error {
	// CLOSE_RANGE_CLOEXEC came with 5.11.
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	names, err := os.ReadDir("/proc/thread-self/fd")
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil || fd <= 2 {
			continue
		}
		// It may have been closed meanwhile: nothing to keep then.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC)
		}
	}
	return nil
}
