package scratch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// asUser is what a command does for a user: try, and where that is not allowed
// do it again in a user namespace.
func asUser() int {
	ctx := context.Background()
	n, err := New(ctx)
	if errors.Is(err, ErrPrivilege) {
		code, err := Again(ctx)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		return code
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer n.Close()
	if err := n.LoadNFT(ctx, saved); err != nil {
		fmt.Println(err)
		return 1
	}
	nft, err := n.find("nft")
	if err != nil {
		return 1
	}
	out, err := n.start(ctx, nft, []string{"list", "ruleset"}, "")
	fmt.Print(out)
	if err != nil {
		return 1
	}
	return 7
}

func TestUserWithoutPrivileges(t *testing.T) {
	nstest.SkipUnprivileged(t)
	// A copy that another user may run, outside of root's directories.
	dir, err := os.MkdirTemp("/tmp", "droptrace-scratch-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	if err := copyProgram(program); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"SCRATCH_TEST_USER=1", "PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("%v\n%s", err, out)
	}
	if string(out) != saved {
		t.Errorf("got\n%swant\n%s", out, saved)
	}
}

func copyProgram(to string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
