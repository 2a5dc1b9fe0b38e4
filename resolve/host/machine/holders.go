package machine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// searchLimit bounds the search for a listener's process: a machine can have
// thousands of them.
const searchLimit = 20 * time.Millisecond

// initialPIDs is the inode of the first PID namespace (PROC_PID_INIT_INO).
const initialPIDs = "pid:[4026531836]"

// Held is who has a socket open.
type Held struct {
	By          []drop.Process
	Descriptors int // that they have of it
}

// Holders finds the processes that have the sockets open, by the inode of each. A
// socket that is not in the answer is held by none that may be looked at; whole says
// that there are no others: those of another PID namespace are not seen.
func Holders(ctx context.Context, sockets []uint64) (found map[uint64]Held, whole bool, err error) {
	found = make(map[uint64]Held)
	hidden, err := eachSocket(ctx, func(inode uint64, pid, _ int) bool {
		if !slices.Contains(sockets, inode) {
			return true
		}
		held := found[inode]
		held.Descriptors++
		if n := len(held.By); n == 0 || held.By[n-1].PID != pid {
			held.By = append(held.By, drop.Process{PID: pid, Command: commandOf(pid)})
		}
		found[inode] = held
		return true
	})
	ns, nsErr := os.Readlink("/proc/self/ns/pid")
	return found, err == nil && !hidden && nsErr == nil && ns == initialPIDs, err
}

// holder finds a process that has the socket open; 0 where none is found in
// time, or may be looked at.
func holder(inode string, deadline time.Time) (pid int, command string) {
	pid, command, _ = holding(inode, deadline)
	return pid, command
}

// holding is holder with the number of the descriptor.
func holding(inode string, deadline time.Time) (pid int, command string, fd int) {
	want, err := strconv.ParseUint(inode, 10, 64)
	if err != nil {
		return 0, "", 0
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	_, err = eachSocket(ctx, func(inode uint64, p, n int) bool {
		if inode != want {
			return true
		}
		pid, fd = p, n
		return false
	})
	if err != nil || pid == 0 {
		return 0, "", 0
	}
	return pid, commandOf(pid), fd
}

func commandOf(pid int) string {
	comm, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.TrimSuffix(string(comm), "\n")
}

// eachSocket calls visit with every descriptor of a socket, process by process,
// until it says false. It reports whether some processes may not be looked at.
func eachSocket(ctx context.Context, visit func(inode uint64, pid, fd int) bool) (hidden bool, err error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return false, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return hidden, err
		}
		more, err := socketsOf(pid, visit)
		if errors.Is(err, fs.ErrPermission) {
			hidden = true
		}
		if !more {
			break
		}
	}
	return hidden, nil
}

// socketsOf is eachSocket of one process, which may be gone.
func socketsOf(pid int, visit func(inode uint64, pid, fd int) bool) (more bool, err error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	d, err := os.Open(dir)
	if err != nil {
		return true, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return true, err
	}
	for _, name := range names {
		link, err := os.Readlink(dir + "/" + name)
		if errors.Is(err, fs.ErrPermission) {
			return true, err
		}
		number, isSocket := strings.CutPrefix(link, "socket:[")
		inode, bad := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
		if err != nil || !isSocket || bad != nil {
			continue
		}
		if fd, err := strconv.Atoi(name); err == nil && !visit(inode, pid, fd) {
			return false, nil
		}
	}
	return true, nil
}
