package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// againMark is set in the environment of the process that Again starts.
const againMark = "DROPTRACE_SCRATCH"

// ErrUserNamespace is returned where the kernel gives this user no user
// namespace: a sysctl (user.max_user_namespaces, kernel.unprivileged_userns_clone,
// kernel.apparmor_restrict_unprivileged_userns) or a container forbids it.
var ErrUserNamespace = errors.New("this user may not make user namespaces")

// Again runs this program once more, with the same arguments and files, as root
// of a new user namespace, where [New] works. It is for users without
// CAP_SYS_ADMIN; call it before anything was written. It returns the program's
// exit code. In the process that it starts it fails: there is no more to try.
//
// The network namespace is a new one, too: what is read of "this" namespace
// there is empty.
func Again(ctx context.Context) (code int, err error) {
	if os.Getenv(againMark) != "" {
		return 0, fmt.Errorf("make scratch namespace: %w", ErrPrivilege)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), againMark+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EINVAL):
		return 0, fmt.Errorf("make scratch namespace: %w: %w", ErrUserNamespace, err)
	case err != nil:
		return 0, fmt.Errorf("run again in a user namespace: %w", err)
	}
	return 0, nil
}
