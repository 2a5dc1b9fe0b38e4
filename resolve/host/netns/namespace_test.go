package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onThread runs fn on a thread that ends with it, so that it may change what
// belongs to a thread.
func onThread(t testing.TB, fn func() error) {
	t.Helper()
	nstest.SkipUnprivileged(t)
	if err := nstest.OnThread(fn); err != nil {
		t.Fatal(err)
	}
}

// newHandle opens a namespace of the test's own.
func newHandle(t testing.TB) *Handle {
	t.Helper()
	n := nstest.New(t)
	return open(t, Namespace{Inode: n.Inode(t), Path: n.Path()})
}

// inPrivateRun runs fn where /run is an empty directory of its own, that goes
// with the thread. fn must not be left by t.FailNow.
func inPrivateRun(t testing.TB, fn func() error) {
	t.Helper()
	onThread(t, func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount /run: %w", err)
		}
		return fn()
	})
}

// bind gives the handle's namespace a path.
func bind(h *Handle, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", int(h.file.Fd())), path, "", unix.MS_BIND, "")
}

// startIn starts a program inside and returns its process number. It waits for a
// pipe that closes however the test ends.
func startIn(t testing.TB, h *Handle) int {
	t.Helper()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

// openFiles counts the process's descriptors.
func openFiles(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// childNamespace is the namespace that a program started here finds itself in.
func childNamespace() (string, error) {
	out, err := exec.Command("readlink", "/proc/self/ns/net").Output()
	return strings.TrimSpace(string(out)), err
}
