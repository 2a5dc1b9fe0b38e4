package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// outcome is what a run of droptrace did.
type outcome struct {
	stdout, stderr string
	code           int
	ran            []string // programs and their interpreters
	wrote          []string // files that were open for writing
}

// watched runs droptrace in a mount namespace of its own, whose root the kernel
// reports on: which files are executed there, and which are written.
func watched(t *testing.T, during func(done <-chan struct{}), args ...string) outcome {
	t.Helper()
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", `read go; exec "$@"`, "sh", droptrace}, args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForShell(t, cmd.Process.Pid)
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		t.Fatalf("fanotify: %v", err)
	}
	defer unix.Close(fd)
	err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_MOUNT, unix.FAN_OPEN_EXEC|unix.FAN_CLOSE_WRITE, unix.AT_FDCWD,
		fmt.Sprintf("/proc/%d/root/", cmd.Process.Pid))
	if err != nil {
		t.Fatalf("fanotify: %v", err)
	}
	if _, err := stdin.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		if during != nil {
			during(done)
		}
	}()
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	close(done)
	<-stopped
	if !timer.Stop() {
		t.Fatalf("droptrace %q did not end:\n%s%s", args, out.String(), said.String())
	}
	o.stdout, o.stderr, o.code = out.String(), said.String(), cmd.ProcessState.ExitCode()
	o.events(t, fd)
	return o
}

// waitForShell waits until unshare has become the shell.
func waitForShell(t *testing.T, pid int) {
	t.Helper()
	for range 1000 {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			t.Fatal(err)
		}
		if string(comm) == "sh\n" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("unshare did not start a shell")
}

// events reads what the kernel has reported.
func (o *outcome) events(t *testing.T, fd int) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n <= 0 {
			return // EAGAIN: no more
		}
		for b := buf[:n]; len(b) >= 24; {
			length := binary.NativeEndian.Uint32(b)
			mask, file := binary.NativeEndian.Uint64(b[8:]), int32(binary.NativeEndian.Uint32(b[16:]))
			path, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", file))
			unix.Close(int(file))
			switch {
			case mask&unix.FAN_Q_OVERFLOW != 0:
				t.Fatal("fanotify lost events")
			case mask&unix.FAN_CLOSE_WRITE != 0:
				o.wrote = append(o.wrote, path)
			case mask&unix.FAN_OPEN_EXEC != 0 && !slices.Contains(o.ran, path):
				o.ran = append(o.ran, path)
			}
			b = b[length:]
		}
	}
}

// only fails the test where droptrace ran or wrote anything that it should not.
func (o *outcome) only(t *testing.T) {
	t.Helper()
	for _, path := range o.ran {
		base := filepath.Base(path)
		switch {
		case path == droptrace, strings.HasPrefix(base, "ld-linux"), strings.HasPrefix(base, "ld-2"), strings.HasPrefix(base, "ld.so"):
		case base == "nft", base == "ipset", base == "xtables-nft-multi", base == "xtables-legacy-multi", base == "tcpdump":
		default:
			t.Errorf("%s was run", path)
		}
	}
	for _, path := range o.wrote {
		t.Errorf("%s was written", path)
	}
}
