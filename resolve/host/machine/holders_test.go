package machine

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

func TestHoldersAreAllThatHaveASocketOpen(t *testing.T) {
	var st unix.Stat_t
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	shared := os.NewFile(uintptr(fds[0]), "socket")
	defer shared.Close()
	child := exec.Command("sleep", "600")
	child.ExtraFiles = []*os.File{shared, shared}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	inodes := make([]uint64, 2)
	for i, fd := range fds {
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		inodes[i] = st.Ino
	}
	got, _, err := Holders(t.Context(), append(inodes, 1))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]int{{os.Getpid(), child.Process.Pid}, {os.Getpid()}} {
		var pids []int
		for _, p := range got[inodes[i]].By {
			pids = append(pids, p.PID)
		}
		slices.Sort(pids)
		slices.Sort(want)
		if !slices.Equal(pids, want) {
			t.Errorf("socket %d is held by %v, want %v", i, got[inodes[i]], want)
		}
	}
	if held := got[1]; held.By != nil {
		t.Errorf("no socket is held by %v", held)
	}
	sleep := drop.Process{PID: child.Process.Pid, Command: "sleep"}
	if !slices.Contains(got[inodes[0]].By, sleep) || got[inodes[0]].Descriptors != 3 {
		t.Errorf("%v lacks %v", got[inodes[0]], sleep)
	}
}
