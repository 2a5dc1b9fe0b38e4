package program

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxMemory      = 2 << 30 // bytes of address space; nft needs 0.5 GB for 100,000 rules
	maxDescriptors = 64
)

// limit bounds what a program may use. It is stopped at its first instruction for
// that, where it may be traced, and runs on afterwards.
func (g *cage) limit(pid int, timeout time.Duration) error {
	if g.trace {
		// It stops by itself, or was killed; its end is for others to wait for.
		for {
			err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
			if err == nil {
				break
			}
			if !errors.Is(err, unix.EINTR) {
				return os.NewSyscallError("waitid", err)
			}
		}
	}
	err := g.setLimits(pid, uint64(timeout/time.Second)+1)
	if g.trace {
		if e := unix.PtraceDetach(pid); e != nil && !errors.Is(e, unix.ESRCH) {
			return os.NewSyscallError("ptrace", e)
		}
	}
	if errors.Is(err, unix.ESRCH) {
		return nil // it has ended
	}
	return err
}

// setLimits lowers the limits of another process. That takes CAP_SYS_RESOURCE, or
// being of its user and group in name, which a thread may make itself: but not while
// the program runs, which could then send it signals.
func (g *cage) setLimits(pid int, seconds uint64) error {
	err := lower(pid, seconds)
	if !errors.Is(err, unix.EPERM) || g.user == nil || !g.trace {
		return err
	}
	uid, gid := unix.Getuid(), unix.Getgid()
	if err := realUser(int(g.user.Uid), int(g.user.Gid)); err != nil {
		return err
	}
	err = lower(pid, seconds)
	return errors.Join(err, realUser(uid, gid))
}

// realUser changes the calling thread's real user and group, which decide nothing
// about what it may do.
func realUser(uid, gid int) error {
	const keep = ^uintptr(0) // -1
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), keep, keep); e != 0 {
		return os.NewSyscallError("setresgid", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), keep, keep); e != 0 {
		return os.NewSyscallError("setresuid", e)
	}
	return nil
}

func lower(pid int, seconds uint64) error {
	for _, l := range []struct {
		resource int
		most     uint64
	}{
		{unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_CORE, 0}, {unix.RLIMIT_NPROC, 0},
		{unix.RLIMIT_AS, maxMemory}, {unix.RLIMIT_NOFILE, maxDescriptors}, {unix.RLIMIT_CPU, seconds},
	} {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, l.resource, nil, &old); err != nil {
			return fmt.Errorf("limit process %d: %w", pid, err)
		}
		most := min(l.most, old.Max) // raising takes privilege
		if err := unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
			return fmt.Errorf("limit process %d: %w", pid, err)
		}
	}
	return nil
}
