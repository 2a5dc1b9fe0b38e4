package integration

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/conntrack"
)

// spare makes the kernel's killer of processes take others than this one.
func spare(t *testing.T, pid, score int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(score)), 0); err != nil {
		t.Fatal(err)
	}
}

// TestGuestConntrackNoMemory: for a moment the kernel is told to keep more memory
// free than there is, so that nothing new can be had where nobody may wait:
// entries come from what their slabs still have, and then not at all. Processes
// that want memory meanwhile have victims killed in their place.
func TestGuestConntrackNoMemory(t *testing.T) {
	guest(t)
	l := newLab(t)
	rules(t, l.host, "table ip f {\nchain forward { type filter hook forward priority 0; ct state new accept\n}\n}\n")
	rules(t, l.server, "table ip f {\nchain input { type filter hook input priority 0; drop\n}\n}\n")
	l.ready(t)
	f := startConntrack(t, l.host)
	spare(t, os.Getpid(), -1000)
	defer spare(t, os.Getpid(), 0)
	spare(t, f.cmd.Process.Pid, -1000)
	for range 64 {
		victim := exec.Command("sleep", "600")
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		spare(t, victim.Process.Pid, 1000)
		defer func() { _, _ = victim.Process.Kill(), victim.Wait() }()
	}
	const flows = 300
	var sockets []int
	within(t, l.client, func() error {
		_, to := address(serverIP, 9999)
		for range flows {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err == nil {
				err = unix.Connect(fd, to)
			}
			if err != nil {
				return err
			}
			sockets = append(sockets, fd)
		}
		return nil
	})
	udpFrom(t, l.client, 1000, serverIP, 9998) // neighbours know each other
	const path = "/proc/sys/vm/min_free_kbytes"
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reserve, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reserve)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	all, payload := []byte("16000000"), []byte("x")
	_, _ = unix.Write(reserve, all)
	for _, fd := range sockets {
		_, _ = unix.Write(fd, payload)
	}
	_, err = unix.Pwrite(reserve, before, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range sockets {
		unix.Close(fd)
	}
	sums := settled(t, l.host)
	if sums["drop"] == 0 {
		t.Fatalf("there was memory for all: %v", sums)
	}
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := counts(list)
	t.Logf("causes %v, kernel %v", causes, sums)
	if causes[conntrack.NoMemory] != sums["drop"] || lost != sums["drop"] || sums["early_drop"] != 0 {
		t.Fatalf("causes %v, %d lost, the kernel counted %v\n%s", causes, lost, sums, showFailures(list))
	}
	f.isCertain(t, &list[0])
}
