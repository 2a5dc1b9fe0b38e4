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

// searchLimit bounds the search for the processes of one port's sockets: a machine
// can have thousands of them.
const searchLimit = 250 * time.Millisecond

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

// holding is a process that has a socket open, and the number of its descriptor.
type holding struct {
	pid, fd int
	command string
}

// anyHolders finds a process for each of the sockets in one search; those that it does
// not find in time, or may not look at, are left out.
func anyHolders(inodes []string, limit time.Duration) map[string]holding {
	left := make(map[uint64]string, len(inodes))
	for _, inode := range inodes {
		if n, err := strconv.ParseUint(inode, 10, 64); err == nil && n != 0 {
			left[n] = inode
		}
	}
	if len(left) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	found := make(map[string]holding, len(left))
	_, _ = eachSocket(ctx, func(inode uint64, pid, fd int) bool {
		if name, ok := left[inode]; ok {
			found[name] = holding{pid, fd, commandOf(pid)}
			delete(left, inode)
		}
		return len(left) > 0
	})
	return found
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
